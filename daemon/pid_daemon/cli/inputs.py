# SPDX-License-Identifier: Apache-2.0
"""Which files a run reads and writes, settled before it starts. Nothing here reads pixels."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pid_daemon.cli.exits import Refused
from pid_daemon.files.atomic import TEMPORARY
from pid_daemon.files.formats import SUFFIXES, format_by_name, format_for, readable
from pid_daemon.files.record import read_record
from pid_protocol.errors import InvalidImage

NAMED_AT_MOST = 3
"""Files that one refusal names; the rest is counted."""


@dataclass(frozen=True)
class Found:
    """A file to read."""

    path: Path
    """Where it is."""
    below: Path | None
    """Its folder, relative to the folder that was named; None for a file that was named itself."""


@dataclass(frozen=True)
class Item:
    """One piece of work."""

    source: Path
    """The file to read."""
    target: Path
    """The file to write."""


@dataclass(frozen=True)
class Request:
    """What is asked for; written into every result, so that a later run knows it again."""

    kind: str
    """`upscale` or `enhance`."""
    options: dict[str, Any]
    """Dials that differ from their defaults."""

    def of(self, source: Path) -> dict[str, Any]:
        """The entry of the record for one source.

        Raises:
            InvalidImage: the file cannot be read.
        """
        try:
            with open(source, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InvalidImage(f"{source} cannot be read: {error.strerror or error}.") from error
        return {"kind": self.kind, "options": self.options, "source_sha256": digest}


def find(paths: Sequence[Path], *, recursive: bool, out: Path | None) -> list[Found]:
    """Expand folders into the pictures in them, in the order of their names.

    Files are taken whatever they are called; in folders the endings decide. The output folder, when
    it lies inside, and unfinished files are passed over; where results lie beside their sources, so
    are results.

    Raises:
        Refused: a path is not there, or a folder has no pictures.
    """
    found: list[Found] = []
    for path in paths:
        if path.is_dir():
            below = _pictures_in(path, recursive, out)
            if not below:
                hint = "" if recursive else "--recursive looks into the folders below."
                raise Refused(f"The folder {path} holds no {readable()} files.", hint)
            found += below
        elif path.exists():
            found.append(Found(path, None))
        else:
            raise Refused(f"There is no file or folder {path}.")
    return found


def _pictures_in(folder: Path, recursive: bool, out: Path | None) -> list[Found]:
    avoided = out.resolve() if out is not None else None
    found: list[Found] = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and (here / name).resolve() != avoided
        )
        found += [
            Found(here / name, here.relative_to(folder))
            for name in sorted(names)
            if Path(name).suffix.lower() in SUFFIXES
            and not name.startswith(TEMPORARY)
            and not (out is None and _is_result(here / name))
        ]
    return found


def _is_result(path: Path) -> bool:
    record = read_record(path)
    return record is not None and "request" in record


def suffix_for(kind: str, options: dict[str, Any]) -> str:
    """What the name of a result that lies beside its source gets appended."""
    if kind != "upscale":
        return "-enhanced"
    if options.get("width"):
        return f"-{options['width']}x{options['height']}"
    if options.get("longest"):
        return f"-{options['longest']}px"
    return f"-{options.get('scale', 4.0):g}x"


def targets(
    found: Sequence[Found], *, out: Path | None, suffix: str, format_name: str | None
) -> list[Item]:
    """Settle the name of every result.

    Args:
        found: the files to read.
        out: a file for one input, a folder for several; None = beside each source.
        suffix: appended to names beside their source.
        format_name: format of the results; None = as the file name or the source says.
    Raises:
        Refused: two results would share a name, a result would replace a source, or a name's ending
            is for no format.
    """
    try:
        if out is not None and len(found) == 1 and found[0].below is None and not _is_folder(out):
            if format_for(out).name != (format_name or format_for(out).name):
                raise Refused(f"--format {format_name} and the ending of {out.name} disagree.")
            items = [Item(found[0].path, out)]
        else:
            items = [Item(f.path, _target(f, out, suffix, format_name)) for f in found]
    except InvalidImage as error:
        raise Refused(error.message, error.hint) from error
    _refuse_clashes(items)
    return items


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def _target(found: Found, out: Path | None, suffix: str, format_name: str | None) -> Path:
    source = found.path
    if format_name is not None:
        ending = format_by_name(format_name).suffixes[0]
        if source.suffix.lower() in format_by_name(format_name).suffixes:
            ending = source.suffix
    else:
        # a file that was named itself may have any ending; what it is shows when it is read
        ending = source.suffix if source.suffix.lower() in SUFFIXES else ".png"
    if out is None:
        return source.with_name(f"{source.stem}{suffix}{ending}")
    return out / (found.below or Path()) / f"{source.stem}{ending}"


def _key(path: Path) -> str:
    """What is the same for two names of one file."""
    return os.path.normcase(os.path.realpath(path))


def _refuse_clashes(items: Iterable[Item]) -> None:
    items = list(items)
    sources = {_key(item.source): item.source for item in items}
    by_target: dict[str, Item] = {}
    for item in items:
        key = _key(item.target)
        if key in sources:
            raise Refused(
                f"The result of {item.source} would replace the source {sources[key]}.",
                "Choose another place with -o.",
            )
        other = by_target.setdefault(key, item)
        if other is not item:
            raise Refused(
                f"{other.source} and {item.source} would both become {item.target}.",
                "Rename one, or run them apart.",
            )


def outstanding(
    items: Sequence[Item], request: Request, *, overwrite: bool, skip: bool
) -> tuple[list[Item], int]:
    """Leave out what is done already.

    A result is known by its record: same source, same kind, same dials. It was put in place by a
    rename, so a file that is there is whole.

    Returns:
        What remains, and how many were left out.
    Raises:
        Refused: a file that this run did not make lies where a result should go.
    """
    if overwrite:
        return list(items), 0
    remaining: list[Item] = []
    foreign: list[Path] = []
    for item in items:
        if not item.target.exists():
            remaining.append(item)
        elif not skip and not _is_done(item, request):
            foreign.append(item.target)
    if foreign:
        raise Refused(
            f"{_named(foreign)} {'is' if len(foreign) == 1 else 'are'} there already, "
            "made from another source or with other settings.",
            "--overwrite replaces, --skip leaves what is there.",
        )
    return remaining, len(items) - len(remaining)


def _is_done(item: Item, request: Request) -> bool:
    record = read_record(item.target)
    if record is None:
        return False
    try:
        return record.get("request") == request.of(item.source)
    except InvalidImage:
        return False


def _named(paths: Sequence[Path]) -> str:
    names = ", ".join(str(path) for path in paths[:NAMED_AT_MOST])
    more = len(paths) - NAMED_AT_MOST
    return f"{names} and {more} more" if more > 0 else names


def make_folders(folders: Iterable[Path]) -> None:
    """Make the folders of the results, and try each one by writing a file that vanishes again.

    Raises:
        Refused: one cannot be made or written to.
    """
    for folder in sorted(set(folders)):
        probe = folder / f"{TEMPORARY}{secrets.token_hex(6)}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            raise Refused(
                f"{folder} cannot be written to: {error.strerror or error}.",
                "Choose another place with -o.",
            ) from error
