# SPDX-License-Identifier: Apache-2.0
"""Prompt -> token ids in the fixed length that PiD was trained with, and which rows are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pid_core.errors import CheckpointError

PAD, BOS = 0, 2
"""Gemma's token ids; no end-of-sequence token is appended."""
CAPTION_ROWS = 300
"""Rows that the network attends to, pads included."""

Tokenizer = Callable[[str], list[int]]
"""Text -> ids, without any special token."""


@dataclass(frozen=True)
class PromptTokens:
    """What the encoder gets."""

    ids: list[int]
    """Right-padded, beginning with BOS."""
    mask: list[int]
    """1 for a token, 0 for a pad; the encoder's, not the network's."""
    kept: list[int]
    """Positions of the rows that the network gets."""


def load_tokenizer(source: Path | bytes) -> Tokenizer:
    """Load a tokenizer.

    Args:
        source: tokenizer.json, tokenizer.model, or the bytes of a SentencePiece model.
    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        if isinstance(source, Path) and source.suffix == ".json":
            import tokenizers

            fast = tokenizers.Tokenizer.from_file(str(source))
            return lambda text: fast.encode(text, add_special_tokens=False).ids
        import sentencepiece

        content = source.read_bytes() if isinstance(source, Path) else source
        pieces = sentencepiece.SentencePieceProcessor(model_proto=content)
    except Exception as error:  # both libraries raise bare exceptions of their own
        raise CheckpointError(f"The tokenizer cannot be read: {error}.") from error
    return lambda text: list(pieces.encode(text))


def prompt_tokens(
    tokenize: Tokenizer, prefix: str, prompt: str, rows: int = CAPTION_ROWS
) -> PromptTokens:
    """Tokenise a prompt as in training.

    Args:
        tokenize: Gemma's tokenizer.
        prefix: the instruction; precedes an empty prompt, too.
        prompt: the user's; what exceeds the length is cut off.
        rows: rows that are kept.
    Source: nv-tlabs/PiD 2c8814c, the text encoder of pid_model.py
    """
    num_prefix = 1 + len(tokenize(prefix))
    kept = kept_positions(num_prefix, rows)
    length = kept[-1] + 1
    ids = [BOS, *tokenize(prefix + prompt)][:length]
    pads = length - len(ids)
    return PromptTokens(ids + [PAD] * pads, [1] * len(ids) + [0] * pads, kept)


def kept_positions(num_prefix: int, rows: int = CAPTION_ROWS) -> list[int]:
    """Positions of the padded sequence that are kept: the first, and the last `rows` - 1.

    Args:
        num_prefix: tokens of the instruction alone, BOS counted.
        rows: rows that are kept.
    """
    length = num_prefix + rows - 2
    return [0, *range(length - rows + 1, length)]
