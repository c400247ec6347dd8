# SPDX-License-Identifier: Apache-2.0
"""Installing, removing and looking at a plugin in one profile."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pid_daemon.files.picture import UnwritableOutput
from pid_daemon.install import kritarc
from pid_daemon.install.editors import KRITA, Profile, is_running
from pid_daemon.install.trees import File, digest_of, files_of
from pid_protocol import PROGRAM_VERSION

NOTE = "daemon.json"
"""Lies in the plugin's folder: connection file, launch command, version."""


@dataclass(frozen=True)
class Installed:
    """A plugin that was found in a profile."""

    profile: Profile
    """Where."""
    version: str
    """Version of the program that put it there; empty = not known."""
    matches: bool
    """Whether it is what this program would install now."""


def put(profile: Profile, connection_file: Path) -> list[str]:
    """Install the plugin, in place of an older one.

    Args:
        profile: where to.
        connection_file: where the daemon leaves its endpoints.
    Returns:
        Sentences about what is left for the person to do.
    Raises:
        UnwritableOutput: the system refuses; an older plugin is still there then.
    """
    files = files_of(profile.editor)
    folder = profile.folder
    staged = folder.with_name(f".pid-{secrets.token_hex(6)}")
    inside = PurePosixPath(profile.editor.folder)
    try:
        for file in files:
            if file.target.is_relative_to(inside):
                _copy(file, staged / file.target.relative_to(inside))
        note = {
            "connection_file": str(connection_file.absolute()),
            "launch": [*launch_command(), "--connection-file", str(connection_file.absolute())],
            "version": PROGRAM_VERSION,
            "digest": digest_of(files),
        }
        (staged / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        _remove(folder)
        staged.rename(folder)
        for file in files:
            if not file.target.is_relative_to(inside):
                _copy(file, profile.root / file.target)
    except OSError as error:
        raise UnwritableOutput(
            f"{profile.root} cannot be written to: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return _enable(profile)


def take_out(profile: Profile) -> bool:
    """Remove the plugin.

    Returns:
        Whether there was one.
    Raises:
        UnwritableOutput: the system refuses.
    """
    was_there = profile.folder.exists() or profile.folder.is_symlink()
    try:
        _remove(profile.folder)
        for _, target in profile.editor.loose:
            (profile.root / target).unlink(missing_ok=True)
        if profile.settings is not None and not is_running(profile.editor):
            kritarc.forget(profile.settings)
    except OSError as error:
        raise UnwritableOutput(
            f"{profile.root} cannot be changed: {error.strerror or error}."
        ) from error
    return was_there


def inspect(profile: Profile) -> Installed | None:
    """What is installed in a profile; None = nothing."""
    if not profile.folder.is_dir():
        return None
    try:
        read: Any = json.loads((profile.folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        read = {}
    note = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    matches = note.get("digest") == digest_of(files_of(profile.editor))
    # a developer's link has no note, and is always what the checkout is
    is_link = profile.folder.is_symlink()
    return Installed(profile, str(note.get("version", "")), matches or is_link)


def launch_command() -> list[str]:
    """How a plugin starts the daemon: absolute, because its path and folder are not ours."""
    return [sys.executable, "-m", "pid_daemon.cli.main", "serve"]


def _copy(file: File, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file.source, target)
    target.chmod(0o755 if file.executable else 0o644)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _enable(profile: Profile) -> list[str]:
    if profile.editor is not KRITA:
        return [f"Restart {profile.editor.label} if it is running: Filters ▸ PiD."]
    by_hand = (
        "Tick “PiD Layers” in Krita under Settings ▸ Configure Krita ▸ Python Plugin Manager, "
        "and restart it."
    )
    if profile.settings is None or is_running(KRITA):  # Krita overwrites its settings as it ends
        return [by_hand]
    kritarc.enable(profile.settings)
    return ["It is enabled; Krita shows it at its next start."]
