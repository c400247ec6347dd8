# SPDX-License-Identifier: Apache-2.0
"""What an installed plugin consists of: the editor's tree and the two shared packages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pid_client
import pid_daemon
import pid_protocol
from pid_daemon.install.editors import Editor
from pid_protocol.errors import InternalError

SHARED = (pid_protocol, pid_client)
"""Packages that every plugin carries."""
_LEFT_OUT = ("__pycache__", ".gitkeep")


@dataclass(frozen=True)
class File:
    """One file of a plugin."""

    source: Path
    """Where it comes from."""
    target: PurePosixPath
    """Where it goes, relative to the profile."""
    executable: bool = False
    """Whether the system has to be allowed to run it."""


def files_of(editor: Editor) -> list[File]:
    """Every file of an editor's plugin.

    Raises:
        InternalError: this installation has no plugin tree.
    """
    tree = _tree_of(editor)
    name = PurePosixPath(editor.folder).name
    # the folder may lie in the tree, or the tree may be the folder
    inner = tree / name if (tree / name).is_dir() else tree
    folder = PurePosixPath(editor.folder)
    loose = {tree / source: PurePosixPath(target) for source, target in editor.loose}
    files = [
        File(path, folder / path.relative_to(inner).as_posix(), path.name == editor.executable)
        for path in _below(inner)
        if path not in loose
    ]
    files += [File(source, target) for source, target in loose.items() if source.is_file()]
    for package in SHARED:
        root = Path(str(package.__file__)).parent
        base = folder / editor.library / root.name
        files += [File(path, base / path.relative_to(root).as_posix()) for path in _below(root)]
    return sorted(files, key=lambda file: file.target)


def digest_of(files: list[File]) -> str:
    """A short hash of names and contents: two plugins with the same one are the same."""
    digest = hashlib.sha256()
    for file in files:
        content = file.source.read_bytes()
        digest.update(f"{file.target}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _tree_of(editor: Editor) -> Path:
    """The plugin's source: data of an installed wheel, or the folder of a checkout."""
    package = Path(pid_daemon.__file__).parent
    for tree in (
        package / "plugins" / editor.name,
        package.parent.parent / f"{editor.name}_plugin",
    ):
        if any(_below(tree)):
            return tree
    raise InternalError(f"This installation carries no plugin for {editor.label}.", "Reinstall it.")


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part in _LEFT_OUT for part in path.parts):
            yield path
