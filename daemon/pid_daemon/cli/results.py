# SPDX-License-Identifier: Apache-2.0
"""A finished job becomes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pid_client.job import Finished
from pid_daemon import files
from pid_daemon.cli import texts


def save(
    finished: Finished,
    target: Path,
    *,
    request: dict[str, Any] | None,
    metadata: files.Metadata | None,
    quality: int | None,
) -> tuple[str, ...]:
    """Write a result with its record and the source's metadata.

    Args:
        finished: what the daemon sent.
        target: where to.
        request: what was asked for, by which a later run knows the file again; None = not known.
        metadata: the source's; None = lost.
        quality: as in `files.write`.
    Returns:
        Sentences about the job and about what the file could not hold.
    Raises:
        UnwritableOutput: the system refuses, or the picture is too large for the format.
    """
    record = finished.record | ({"request": request} if request is not None else {})
    notices = [str(notice) for notice in finished.record.get("notices") or ()]
    return tuple(notices) + files.write(
        target,
        finished.pixels,
        finished.image,
        icc=finished.icc or b"",
        metadata=metadata,
        record=record,
        quality=quality,
    )


def summary(target: Path, finished: Finished, seconds: float) -> str:
    """A finished file in one line."""
    engine = finished.record.get("engine", "")
    size = f"{finished.image.width} × {finished.image.height} px"
    return f"{target}  {size}, {engine}, {texts.duration(seconds)}"
