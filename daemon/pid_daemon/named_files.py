# SPDX-License-Identifier: Apache-2.0
"""Weights files that a person named on the command line, outside the model folders.

A job carries identifiers and never paths, so the command line notes a file here before it names it
to the daemon. Both run as the same person; no client can write here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import platformdirs

from pid_daemon.config import APP
from pid_daemon.settings_file import write_whole

NUM_KEPT = 50
"""The oldest are forgotten beyond that."""


def place() -> Path:
    """Where the notes lie."""
    return platformdirs.user_state_path(APP, appauthor=False) / "named-files.json"


def named_files() -> list[Path]:
    """Files that were named, the newest last; notes that make no sense are passed over."""
    try:
        content: Any = json.loads(place().read_text(encoding="utf-8"))
        return [Path(str(path)) for path in content]
    except (OSError, ValueError, TypeError):
        return []


def note(path: Path) -> None:
    """Note a file.

    Raises:
        InternalError: the notes cannot be written.
    """
    known = [one for one in named_files() if one != path]
    paths = [str(one) for one in (*known, path)][-NUM_KEPT:]
    write_whole(place(), json.dumps(paths, indent=1))
