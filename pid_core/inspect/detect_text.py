# SPDX-License-Identifier: Apache-2.0
"""Is a file the caption encoder Gemma 2, whole or one of its shards? Torch-free."""

from __future__ import annotations

import re
from pathlib import Path

from pid_core.inspect.description import GEMMA_TERMS, TEXT_ENCODER, Description
from pid_core.inspect.headers import FileHeader
from pid_core.inspect.quantisation import read_quantisation

SPIECE = "spiece_model"
"""Tensor that holds a SentencePiece tokenizer, byte for byte, in ComfyUI's single file."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")
"""Tokenizers that may lie beside an encoder."""

_SHARD = re.compile(r"-(\d+)-of-(\d+)\.safetensors$")
# Gemma 2 alone norms before and after the feed-forward without norming queries (Gemma 3 does that
# too)
_GEMMA2 = re.compile(r"^(?:model\.)?layers\.\d+\.pre_feedforward_layernorm\.weight$")
_GEMMA3 = re.compile(r"layers\.\d+\.self_attn\.q_norm\.weight$")


def describe_text_encoder(header: FileHeader) -> Description | None:
    """What caption encoder a file is, or None when it is none."""
    if not any(_GEMMA2.match(name) for name in header.tensors):
        return None
    label = read_quantisation(header).label
    dtypes = [info.dtype.lower() for info in header.tensors.values() if len(info.shape) == 2]
    problem, hint = _problem(header)
    return Description(
        TEXT_ENCODER,
        label or max(set(dtypes), key=dtypes.count),
        licence=GEMMA_TERMS,
        problem=problem,
        hint=hint,
    )


def shards(path: Path) -> list[Path]:
    """All parts of an encoder that is split over files, the one given included; that one alone
    when it is not split."""
    match = _SHARD.search(path.name)
    if match is None:
        return [path]
    stem, total = path.name[: match.start()], match[2]
    return [
        path.with_name(f"{stem}-{index:0{len(total)}d}-of-{total}.safetensors")
        for index in range(1, int(total) + 1)
    ]


def tokenizer_beside(path: Path) -> Path | None:
    """Tokenizer file in the encoder's folder, or in a folder `tokenizer` beside that."""
    for folder in (path.parent, path.parent.parent / "tokenizer"):
        for name in TOKENIZER_FILES:
            if (folder / name).is_file():
                return folder / name
    return None


def _problem(header: FileHeader) -> tuple[str, str]:
    if any(_GEMMA3.search(name) for name in header.tensors):
        return "It is Gemma 3; PiD was trained with Gemma 2 2B.", "Use gemma-2-2b-it."
    missing = [part.name for part in shards(header.path) if not part.is_file()]
    if missing:
        return f"It is one part of an encoder; {missing[0]} is missing.", "Fetch all parts."
    if SPIECE not in header.tensors and tokenizer_beside(header.path) is None:
        return (
            "It comes without a tokenizer.",
            "Put Gemma 2's tokenizer.json or tokenizer.model beside it.",
        )
    return "", ""
