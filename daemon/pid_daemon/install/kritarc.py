# SPDX-License-Identifier: Apache-2.0
"""One line of Krita's settings, `enable_pid_krita` below `[python]`; the rest stays as it is."""

from __future__ import annotations

from pathlib import Path

from pid_daemon.files.atomic import whole_file

SECTION, KEY = "[python]", "enable_pid_krita"


def enable(path: Path) -> None:
    """Tick the plugin.

    Raises:
        UnwritableOutput: the file cannot be written.
    """
    lines = _without_key(_lines(path))
    if SECTION not in lines:
        lines += ([""] if lines else []) + [SECTION]
    lines.insert(lines.index(SECTION) + 1, f"{KEY}=true")
    _write(path, lines)


def forget(path: Path) -> None:
    """Take the line out, where there is one.

    Raises:
        UnwritableOutput: the file cannot be written.
    """
    lines = _lines(path)
    kept = _without_key(lines)
    if kept != lines:
        _write(path, kept)


def is_enabled(path: Path) -> bool:
    """Whether the plugin is ticked."""
    return f"{KEY}=true" in [line.replace(" ", "") for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _without_key(lines: list[str]) -> list[str]:
    return [line for line in lines if line.partition("=")[0].strip() != KEY]


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
