# SPDX-License-Identifier: Apache-2.0
"""The note that `pid install` leaves beside a plugin: where the daemon is found and how it is
started."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pid_protocol import discovery

NOTE = "daemon.json"
"""Name of the note."""


@dataclass(frozen=True)
class Place:
    """Where the daemon is found and how it is started."""

    connection_file: Path
    """The connection file; sandboxes see another home folder, so the note has the absolute
    place."""
    launch: tuple[str, ...]
    """Command line that starts a daemon; empty = none is known."""


def read_place(folder: Path) -> Place:
    """Read the note in a plugin's folder; without one, the usual place and no command.

    The environment's override goes before the note.
    """
    try:
        values = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        launch = tuple(str(word) for word in values["launch"])
        noted = Path(str(values["connection_file"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Place(discovery.default_path(), ())
    override = os.environ.get(discovery.OVERRIDE)
    return Place(Path(override) if override else noted, launch)
