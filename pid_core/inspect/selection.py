# SPDX-License-Identifier: Apache-2.0
"""Which files one PiD run uses: the user's paths or identifiers first, then the best that were
found. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pid_core.errors import CheckpointMismatch, CheckpointMissing
from pid_core.inspect.backbones import BACKBONES
from pid_core.inspect.description import (
    PID,
    TEXT_ENCODER,
    VAE,
    Declared,
    Description,
    Words,
    word_about,
)
from pid_core.inspect.detect import describe
from pid_core.inspect.models import READY, ModelRow

_VARIANT_ORDER = ("2kto4k_v1pt5", "2kto4k", "2k")


@dataclass(frozen=True)
class PidFiles:
    """The files of one PiD run."""

    weights: Path
    """The PiD network."""
    description: Description
    """What it is."""
    vae: Path
    """VAE of its latent family."""
    text_encoder: Path | None
    """Gemma 2; None where only cached embeddings are at hand."""


def choose(
    rows: Sequence[ModelRow],
    *,
    weights: str = "",
    vae: str = "",
    text_encoder: str = "",
    words: Words = MappingProxyType({}),
) -> PidFiles:
    """Choose the files of a run.

    Args:
        rows: what `scan` found.
        weights: path or identifier of a PiD file; empty = the best one found that is complete.
        vae: path or identifier; empty = one of the same family.
        text_encoder: path or identifier; empty = the one found, if any.
        words: what the user said about files.
    Raises:
        CheckpointMissing: nothing fits; says what is lacking.
        CheckpointMismatch: a file is not what it is asked to be.
    """
    path = _weights_path(rows, weights)
    found = describe(path, word_about(path, words))
    if found.role != PID or found.problem:
        raise CheckpointMismatch(
            f"{path.name} cannot be used: {found.problem or f'it is a {found.role} file.'}",
            hint=found.hint,
        )
    row = BACKBONES[found.family]
    if not row.vae:
        raise CheckpointMissing(
            f"{path.name} decodes latents of {row.title}, and PiD Layers has no encoder for them.",
            hint="Use weights of FLUX.1, FLUX.2, SD3, SDXL or Qwen-Image.",
        )
    return PidFiles(
        path, found, _vae_path(rows, vae, found.family), _encoder_path(rows, text_encoder)
    )


def _weights_path(rows: Sequence[ModelRow], wanted: str) -> Path:
    if wanted:
        return _named(rows, wanted)
    usable = [row for row in rows if row.kind == PID and row.state == READY]
    if not usable:
        raise CheckpointMissing(
            "No PiD weights were found.",
            hint="Put a PiD checkpoint into a model folder, or name one with --weights; see `pid "
            "models`.",
        )
    usable.sort(
        key=lambda row: (len(row.lacks), not row.is_distilled, _VARIANT_ORDER.index(row.variant))
    )
    return Path(usable[0].path)


def _vae_path(rows: Sequence[ModelRow], wanted: str, family: str) -> Path:
    if wanted:
        path = _named(rows, wanted)
        found = describe(path, Declared(family=family))
        if found.role != VAE or found.problem:
            raise CheckpointMismatch(
                f"{path.name} cannot be used as the VAE: "
                f"{found.problem or f'it is a {found.role} file.'}",
                hint=found.hint,
            )
        return path
    fitting = _ready(rows, VAE, family)
    if not fitting:
        raise CheckpointMissing(
            f"The VAE of {BACKBONES[family].title} was not found.",
            hint="Put it into a model folder, or name it with --vae; see `pid models`.",
        )
    return Path(fitting[0].path)


def _encoder_path(rows: Sequence[ModelRow], wanted: str) -> Path | None:
    if not wanted:
        found = _ready(rows, TEXT_ENCODER)
        return Path(found[0].path) if found else None
    path = _named(rows, wanted)
    found = describe(path)
    if found.role != TEXT_ENCODER or found.problem:
        raise CheckpointMismatch(
            f"{path.name} cannot be used as the text encoder: "
            f"{found.problem or f'it is a {found.role} file.'}",
            hint=found.hint,
        )
    return path


def _ready(rows: Iterable[ModelRow], kind: str, family: str = "") -> list[ModelRow]:
    return [row for row in rows if row.kind == kind and row.state == READY and row.family == family]


def _named(rows: Sequence[ModelRow], wanted: str) -> Path:
    row = next((row for row in rows if row.id == wanted), None)
    path = Path(row.path) if row is not None else Path(wanted).expanduser()
    if path.is_dir():  # a folder as the hub lays it out
        parts = sorted(path.glob("*.safetensors"))
        path = parts[0] if parts else path
    if not path.is_file():
        known = ", ".join(row.id for row in rows if row.state == READY) or "none"
        raise CheckpointMissing(
            f"{wanted!r} is neither a file nor a known model.", hint=f"Known models: {known}."
        )
    return path
