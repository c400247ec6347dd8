# SPDX-License-Identifier: Apache-2.0
"""Every weights file in the model folders: what it is, what goes with it, and what a PiD upscale
still lacks.

Files are found by content: our own folder, a ComfyUI tree and the Hugging Face hub cache are
walked alike. Only headers are read, and what they said is remembered by (path, size, time of
change). Torch-free: the broker calls this.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pid_core.errors import CheckpointMissing
from pid_core.inspect.backbones import BACKBONES
from pid_core.inspect.description import (
    PID,
    TEXT_ENCODER,
    UNKNOWN,
    VAE,
    Declared,
    Description,
    Words,
    word_about,
)
from pid_core.inspect.detect import describe
from pid_core.inspect.detect_text import shards

SUFFIXES = (".safetensors", ".pth", ".pt")
"""Endings of files that are looked into."""

_CACHE_VERSION = 2  # raise when detection changes, so that remembered answers are dropped
_SKIPPED_FOLDERS = {"blobs", ".locks", ".git", "__pycache__", ".cache"}
_MAX_DEPTH = 8

READY, REFUSED, UNRELATED = "ready", "refused", "unrelated"


@dataclass(frozen=True)
class ModelRow:
    """One file, as `pid models` lists it."""

    id: str
    """Short name to choose it by."""
    path: str
    """Where it lies."""
    kind: str
    """`pid`, `pixeldit`, `vae`, `text-encoder` or `unknown`."""
    state: str
    """`ready`, `refused` (see `problem`) or `unrelated` (some other model's file)."""
    layout: str = ""
    """Names and dtype in the file."""
    family: str = ""
    """Latent family of a PiD file or a VAE."""
    family_from: str = ""
    """What decided: `weights`, `file name`, `folder name`, `config.json` or `your word`."""
    version: str = ""
    """`v1` or `v1.5`."""
    variant: str = ""
    """`2k`, `2kto4k` or `2kto4k_v1pt5`."""
    is_distilled: bool = True
    """A student of four steps rather than a teacher."""
    size_bytes: int = 0
    """Of the file, all parts together."""
    licence: str = ""
    """In one sentence."""
    problem: str = ""
    """Why it cannot be used."""
    hint: str = ""
    """What to do about it."""
    goes_with: tuple[str, ...] = ()
    """Identifiers of the files that complete it."""
    lacks: tuple[str, ...] = ()
    """What a PiD upscale with it still lacks, in words."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON and the wire."""
        return asdict(self)


def scan(
    folders: Iterable[Path],
    *,
    cache_file: Path | None = None,
    has_empty_prompt: bool = False,
    words: Words = MappingProxyType({}),
) -> list[ModelRow]:
    """List the weights files below some folders.

    Args:
        folders: places to look into; those that do not exist are passed over.
        cache_file: where to remember what headers said; None = read them all.
        has_empty_prompt: the embedding of the empty prompt is cached, so upscaling needs no
            encoder.
        words: what the user said about files.
    Returns:
        Rows in the order PiD, VAE, text encoder, the rest; ready ones first.
    """
    memory = _Memory(cache_file)
    rows = [
        row_of(path, memory.describe(path, word_about(path, words)))
        for path in _first_parts(_files(folders))
    ]
    memory.save()
    return completed(rows, has_empty_prompt=has_empty_prompt)


def row_of(path: Path, found: Description) -> ModelRow:
    """The row of one file."""
    state = READY
    if found.role == UNKNOWN:
        state = UNRELATED
    elif found.problem:
        state = REFUSED
    return ModelRow(
        id=_identifier(path, found),
        path=str(path),
        kind=found.role,
        state=state,
        layout=found.layout,
        family=found.family,
        family_from=found.family_from,
        version=found.generation,
        variant=found.variant,
        is_distilled=found.is_distilled,
        size_bytes=sum(part.stat().st_size for part in shards(path) if part.is_file()),
        licence=found.licence,
        problem=found.problem,
        hint=found.hint,
    )


def completed(rows: Iterable[ModelRow], *, has_empty_prompt: bool = False) -> list[ModelRow]:
    """Fill in what goes with each PiD file and what it lacks, and put the rows in order."""
    rows = list(rows)
    ready = [row for row in rows if row.state == READY]
    encoders = tuple(row.id for row in ready if row.kind == TEXT_ENCODER)

    def with_companions(row: ModelRow) -> ModelRow:
        if row.kind != PID or row.state != READY:
            return row
        family = BACKBONES[row.family]
        vaes = tuple(
            other.id for other in ready if other.kind == VAE and other.family == row.family
        )
        lacks: list[str] = []
        if not family.vae:
            lacks.append(f"an encoder for {family.title}, which PiD Layers does not have")
        elif not vaes:
            lacks.append(f"the VAE of {family.title}")
        if not encoders and not has_empty_prompt:
            lacks.append("the caption encoder Gemma 2 2B")
        return replace(row, goes_with=vaes + encoders, lacks=tuple(lacks))

    kinds = (PID, VAE, TEXT_ENCODER)
    rank = {kind: index for index, kind in enumerate(kinds)}
    return sorted(
        (with_companions(row) for row in rows),
        key=lambda row: (rank.get(row.kind, len(kinds)), row.state != READY, row.id),
    )


def _identifier(path: Path, found: Description) -> str:
    parts = (
        found.role,
        found.family,
        found.variant,
        "" if found.is_distilled else "undistilled",
        found.layout if found.role == PID else "",
    )
    name = "-".join(part.replace(" ", "_") for part in parts if part)
    return f"{name}-{hashlib.sha256(str(path).encode()).hexdigest()[:4]}"


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in folders:
        for path in sorted(_below(folder.expanduser(), _MAX_DEPTH, set())):
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                yield path


def _below(folder: Path, depth: int, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # links may go round in circles
        return
    seen.add(real)
    try:
        entries = list(os.scandir(folder))
    except OSError:  # not there, or not ours to read
        return
    for entry in entries:
        if entry.is_dir():
            if depth and entry.name not in _SKIPPED_FOLDERS:
                yield from _below(Path(entry.path), depth - 1, seen)
        elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
            yield Path(entry.path)


def _first_parts(paths: Iterable[Path]) -> Iterator[Path]:
    """Leave out the second and later parts of files that are split."""
    for path in paths:
        parts = shards(path)
        if path == parts[0] or not parts[0].is_file():
            yield path


class _Memory:
    """What headers said, by path, size and time of change."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        self._current: dict[str, Any] = {}
        if file is not None:
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                if content.get("version") == _CACHE_VERSION:
                    self._known = content["files"]
            except (OSError, ValueError, KeyError, AttributeError):
                self._known = {}

    def describe(self, path: Path, word: Declared) -> Description:
        """What a file is; files that somebody spoke about are few and not remembered."""
        try:
            if word != Declared():
                return describe(path, word)
            stat = path.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            entry = self._known.get(str(path))
            # companions beside a file decide too, so only what was fine is remembered
            if entry is not None and entry["stamp"] == stamp:
                found = _restored(entry["found"])
            else:
                found = describe(path, Declared())
        except CheckpointMissing as error:
            return Description(UNKNOWN, problem=str(error))
        if not found.problem or found.role == UNKNOWN:
            self._current[str(path)] = {"stamp": stamp, "found": asdict(found)}
        return found

    def save(self) -> None:
        if self._file is None or self._current == self._known:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": _CACHE_VERSION, "files": self._current})
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self._file.parent, delete=False
        ) as file:
            file.write(text)
        os.replace(file.name, self._file)


def _restored(fields: dict[str, Any]) -> Description:
    return Description(**{**fields, "families": tuple(fields["families"])})
