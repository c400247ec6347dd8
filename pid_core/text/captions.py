# SPDX-License-Identifier: Apache-2.0
"""Caption embeddings: from the disk where a prompt was seen before, else from the encoder.

Whenever the encoder is loaded, the empty prompt is encoded as well, so that upscaling without a
prompt needs no encoder ever after.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pid_core.errors import CheckpointMismatch, CheckpointMissing
from pid_core.inspect.detect_text import shards, tokenizer_beside
from pid_core.inspect.fingerprint import cached_captions, caption_file, fingerprint
from pid_core.text.instruction import instruction_prefix
from pid_core.text.tokens import PromptTokens, Tokenizer, prompt_tokens


class Encoder(Protocol):
    """What `Captions` needs of an encoder."""

    tokenize: Tokenizer

    def encode(self, tokens: PromptTokens) -> torch.Tensor:
        """Tokens -> [1, rows, hidden] bfloat16."""
        ...


def _gemma(path: Path, device: torch.device) -> Encoder:
    from pid_core.text.gemma import GemmaEncoder

    return GemmaEncoder(path, device)


class Captions:
    """Embeddings of prompts.

    Args:
        encoder: file of the caption encoder; None where there is none.
        folder: of cached embeddings; None = nothing is kept.
        width: of one caption row, as the network reads it.
        device: where an encoder would compute.
        load: makes the encoder.
    """

    def __init__(
        self,
        encoder: Path | None,
        folder: Path | None,
        width: int,
        device: torch.device,
        *,
        load: Callable[[Path, torch.device], Encoder] = _gemma,
    ) -> None:
        self._encoder, self._folder, self._width = encoder, folder, width
        self._device, self._load = device, load
        self._fingerprint = ""

    def embeddings(self, *prompts: str) -> list[torch.Tensor]:
        """[1, 300, width] float32 for each prompt, on the CPU.

        Raises:
            CheckpointMissing: a prompt is new and there is no encoder.
            CheckpointMismatch: the encoder's rows are not as wide as the network reads.
        """
        cached = {prompt: self._cached(prompt) for prompt in prompts}
        new = [prompt for prompt, found in cached.items() if found is None]
        if new:
            cached.update(self._encoded([*new, *([] if "" in cached else [""])]))
        found = [cached[prompt] for prompt in prompts]
        return [rows.float() for rows in found if rows is not None]

    def has(self, prompt: str) -> bool:
        """Whether a prompt needs no encoder."""
        return self._cached(prompt) is not None

    def _cached(self, prompt: str) -> torch.Tensor | None:
        if self._folder is None:
            return None
        if self._encoder is None:
            places = cached_captions(self._folder, prompt)
        else:
            places = [caption_file(self._folder, self._identity(self._encoder), prompt)]
        for place in places:
            try:
                rows = load_file(place)["caption"]
            except (OSError, SafetensorError, KeyError):  # not there, or cut short
                continue
            if rows.dim() == 3 and rows.shape[-1] == self._width:
                return rows
        return None

    def _encoded(self, prompts: list[str]) -> dict[str, torch.Tensor]:
        if self._encoder is None:
            what = f"The prompt {prompts[0]!r}" if prompts[0] else "The empty prompt"
            raise CheckpointMissing(
                f"{what} has no cached embedding, and no caption encoder was found.",
                hint="Put Gemma 2 2B (gemma_2_2b_it_elm_bf16.safetensors, 5.2 GB) into a model "
                "folder" + (", or leave the prompt empty." if self.has("") else "."),
            )
        try:
            return self._encoded_on(self._device, self._encoder, prompts)
        except torch.OutOfMemoryError:
            if self._device.type == "cpu":
                raise
        # 4 GB beside the network are too much for a small card; a CPU takes some seconds
        return self._encoded_on(torch.device("cpu"), self._encoder, prompts)

    def _encoded_on(
        self, device: torch.device, path: Path, prompts: list[str]
    ) -> dict[str, torch.Tensor]:
        encoder = self._load(path, device)
        prefix = instruction_prefix()
        encoded: dict[str, torch.Tensor] = {}
        for prompt in prompts:
            rows = encoder.encode(prompt_tokens(encoder.tokenize, prefix, prompt)).cpu()
            if rows.shape[-1] != self._width:
                raise CheckpointMismatch(
                    f"The caption encoder gives rows of {rows.shape[-1]}, the network reads "
                    f"{self._width}.",
                    hint="Use Gemma 2 2B.",
                )
            encoded[prompt] = rows
            self._keep(path, prompt, rows)
        return encoded

    def _keep(self, encoder: Path, prompt: str, rows: torch.Tensor) -> None:
        if self._folder is None:
            return
        place = caption_file(self._folder, self._identity(encoder), prompt)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=place.parent, suffix=".unfinished")
        os.close(handle)
        save_file({"caption": rows.contiguous()}, unfinished)
        os.replace(unfinished, place)

    def _identity(self, encoder: Path) -> str:
        if not self._fingerprint:
            tokenizer = tokenizer_beside(encoder)
            parts = [*shards(encoder), *([tokenizer] if tokenizer else [])]
            self._fingerprint = fingerprint(parts)
        return self._fingerprint
