# SPDX-License-Identifier: Apache-2.0
"""From the names in a job to the files that the engine `pid` loads. Torch-free.

A name is a row's identifier: a client never makes us open a file that the settings, or the person
on the command line, did not point at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pid_core.errors import CoreError
from pid_core.inspect import Declared, ModelRow, PidFiles, Words, choose
from pid_core.inspect.description import PID, TEXT_ENCODER, VAE
from pid_core.inspect.fingerprint import cached_captions
from pid_core.inspect.models import READY
from pid_core.plan import PidFacts
from pid_daemon.config import Config
from pid_daemon.translate import from_core
from pid_protocol.errors import (
    CheckpointMismatch,
    CheckpointMissing,
    InvalidRequest,
    PidError,
)

KINDS = {PID: "weights", VAE: "VAE", TEXT_ENCODER: "text encoder"}
"""Kinds of files that a job may name."""


@dataclass(frozen=True)
class Found:
    """What a look into the folders brought."""

    rows: Sequence[ModelRow] = ()
    """Files in the model folders; defaults are taken from these."""
    aside: Sequence[ModelRow] = ()
    """Files that a person named on the command line; used only where they are named again."""
    words: Words = field(default_factory=dict[str, Declared])
    """What the person said about files."""

    def row(self, identifier: str) -> ModelRow | None:
        """The row of that name."""
        return next((row for row in (*self.rows, *self.aside) if row.id == identifier), None)


def is_wanted(options: Mapping[str, Any]) -> bool:
    """Whether a job asks for PiD by the engine's or by the weights' name."""
    return options["engine"] == "pid" or (options["engine"] == "auto" and bool(options["weights"]))


def files_of(found: Found, names: str, config: Config) -> PidFiles:
    """The files of a run.

    Args:
        found: what there is.
        names: identifiers by commas; empty = the defaults of the settings, then the best.
        config: has the defaults.
    Raises:
        CheckpointMissing, CheckpointMismatch, InvalidRequest: in words.
    """
    named: dict[str, ModelRow] = {}
    for identifier in filter(None, (part.strip() for part in names.split(","))):
        row = _usable(found, identifier)
        if row.kind in named:
            raise InvalidRequest(
                f"{named[row.kind].id} and {row.id} are both {KINDS[row.kind]}; a run takes one."
            )
        named[row.kind] = row
    paths = {kind: row.path for kind, row in named.items()}
    vae = paths.get(VAE) or config.default_vae
    if PID in named and VAE not in named:
        # the default goes with the default weights; others may be of another family
        default = [row for row in found.rows if config.default_vae in (row.id, row.path)]
        fits = bool(default) and default[0].family == named[PID].family
        vae = config.default_vae if fits else ""
    try:
        return choose(
            found.rows,
            weights=paths.get(PID) or config.default_weights,
            vae=vae,
            text_encoder=paths.get(TEXT_ENCODER) or config.default_text_encoder,
            words=found.words,
        )
    except CoreError as error:
        raise from_core(error) from error


def pid_facts(files: PidFiles) -> PidFacts:
    """What the planner has to know of the files of a run."""
    found = files.description
    return PidFacts(
        family=found.family,
        variant=found.variant,
        is_distilled=found.is_distilled,
        is_quantised=found.is_quantised,
        network_bytes=_size_bytes(files.weights),
        encoder_bytes=_size_bytes(files.vae) // 2,  # its decoder is left out
    )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since it was looked at; loading says it better
        return 0


def check_prompts(files: PidFiles, options: Mapping[str, Any], captions: Path) -> None:
    """Refuse a prompt that nobody can encode, before anything is loaded for it.

    Args:
        files: of the run.
        options: rows of the options table.
        captions: folder of cached embeddings.
    Raises:
        CheckpointMissing: there is no text encoder, and no cached embedding.
    """
    if files.text_encoder is not None or cached_captions(captions, options["prompt"]):
        return
    what = f"the prompt {options['prompt'][:60]!r}" if options["prompt"] else "the empty prompt"
    can_go_without = bool(options["prompt"]) and bool(cached_captions(captions, ""))
    raise CheckpointMissing(
        f"Encoding {what} needs the text encoder Gemma 2 2B, which was not found.",
        "Put gemma_2_2b_it_elm_bf16.safetensors (5.2 GB, Gemma Terms of Use) into a model folder"
        + (", or leave the prompt empty." if can_go_without else "; it is needed once."),
    )


def _usable(found: Found, identifier: str) -> ModelRow:
    row = found.row(identifier)
    if row is None:
        raise CheckpointMissing(
            f"There are no weights {identifier[:80]!r} in the model folders.",
            "`pid models` looks again and lists what there is.",
        )
    if row.state != READY:
        raise CheckpointMismatch(
            f"{identifier} cannot be used: {row.problem or 'it is no file of PiD.'}", row.hint
        )
    if row.kind not in KINDS:
        raise CheckpointMismatch(f"{identifier} cannot be used: it is a {row.kind} file.")
    return row


Outcome = PidFiles | PidError
"""Files, or why there are none."""
