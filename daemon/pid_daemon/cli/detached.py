# SPDX-License-Identifier: Apache-2.0
"""Notes about jobs that go on without us: where each came from, and where its result belongs."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pid_daemon.config import load_config
from pid_daemon.files.atomic import whole_file

YOUNG_S = 3600.0
"""A note's job may be on its way for that long."""


@dataclass(frozen=True)
class Note:
    """What `pid fetch` wants to know about a job of `pid upscale --detach`."""

    source: Path
    """The file that was sent; its metadata is read again for the result."""
    target: Path
    """Where the result goes unless `-o` says otherwise."""
    request: dict[str, Any]
    """As the result's record has it."""
    quality: int | None = None
    """As given."""


def keep(job: str, note: Note) -> None:
    """Write a note.

    Raises:
        UnwritableOutput: the system refuses.
    """
    path = _path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {
            "source": str(note.source.absolute()),
            "target": str(note.target.absolute()),
            "request": note.request,
            "quality": note.quality,
        }
    )
    with whole_file(path) as file:
        file.write(text.encode())


def find(job: str) -> Note | None:
    """Read a note; None when there is none, or none that makes sense."""
    try:
        read: Any = json.loads(_path(job).read_text(encoding="utf-8"))
        table = cast("dict[str, Any]", read)
        return Note(
            Path(table["source"]), Path(table["target"]), dict(table["request"]), table["quality"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def drop(job: str) -> None:
    """Throw a note away."""
    _path(job).unlink(missing_ok=True)


def prune(kept: Collection[str]) -> None:
    """Throw away notes about jobs that are no longer kept; young ones may not be sent yet."""
    for path in _path("x").parent.glob("*.json"):
        is_old = time.time() - path.stat().st_mtime > YOUNG_S
        if is_old and path.stem not in kept:
            path.unlink(missing_ok=True)


def _path(job: str) -> Path:
    return load_config().spool_folder.with_name("detached") / f"{job}.json"
