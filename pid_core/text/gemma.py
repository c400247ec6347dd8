# SPDX-License-Identifier: Apache-2.0
"""Gemma 2 2B as caption encoder, from the hub's shards or ComfyUI's single file, bf16 or quantised.

It is loaded for a new prompt and leaves again: 4 GB for half a second of work.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pid_core.checkpoints.exact import require_exact
from pid_core.checkpoints.quantised_linear import QuantisedLinear
from pid_core.checkpoints.sources import open_tensors
from pid_core.errors import CheckpointMismatch
from pid_core.inspect.description import TEXT_ENCODER
from pid_core.inspect.detect import describe
from pid_core.inspect.detect_text import SPIECE, shards, tokenizer_beside
from pid_core.inspect.headers import read_header
from pid_core.inspect.quantisation import (
    LEGACY_MARKERS,
    SIDE_TENSORS,
    LayerFormat,
    read_quantisation,
)
from pid_core.text.tokens import PromptTokens, Tokenizer, load_tokenizer

_HEADS, _KEY_VALUE_HEADS = 8, 4  # of Gemma 2 2B; shapes cannot tell them
_EMBEDDING = "embed_tokens.weight"
_PREFIX = "model."
_IGNORED = ("lm_head.", SPIECE)


class GemmaEncoder:
    """The loaded encoder.

    Args:
        path: a file that `describe` calls a text encoder; the first part of a split one.
        device: where it computes.
    Raises:
        CheckpointMissing: there is no such file.
        CheckpointMismatch: it is no Gemma 2, has no tokenizer, or is incomplete.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        found = describe(path)
        if found.role != TEXT_ENCODER or found.problem:
            raise CheckpointMismatch(
                f"{path.name} is no usable caption encoder: {found.problem or found.role}.",
                hint=found.hint,
            )
        self._device = device
        tensors, formats, spiece = _read(path)
        self.tokenize: Tokenizer = _tokenizer(path, spiece)
        self._embedding = tensors.pop(_EMBEDDING)
        self._embedding_scale = _scale_of(tensors, formats.pop("embed_tokens", None))
        self._network = _network(path.name, tensors, formats, self._embedding, device)

    @torch.no_grad()
    def encode(self, tokens: PromptTokens) -> torch.Tensor:
        """[1, rows, hidden] bfloat16: the last hidden states, after the final norm."""
        ids = torch.tensor(tokens.ids)
        # rows are gathered from the mapped file, so the embedding is never copied whole
        rows = self._embedding[ids].float()
        if self._embedding_scale is not None:
            scale = self._embedding_scale.float().reshape(-1, 1)
            rows = rows * (scale if scale.numel() == 1 else scale[ids])
        factor = torch.tensor(rows.shape[-1] ** 0.5).bfloat16()  # rounded, as in training
        embeddings = (rows.bfloat16() * factor).unsqueeze(0).to(self._device)
        mask = torch.tensor([tokens.mask], device=self._device)
        states = self._network(inputs_embeds=embeddings, attention_mask=mask, use_cache=False)
        return states.last_hidden_state[:, tokens.kept].bfloat16()


def _read(
    path: Path,
) -> tuple[dict[str, torch.Tensor], dict[str, LayerFormat], torch.Tensor | None]:
    """Tensors and quantised layers of all parts, by the names of transformers' bare model."""
    tensors: dict[str, torch.Tensor] = {}
    formats: dict[str, LayerFormat] = {}
    for part in shards(path):
        tensors.update(open_tensors(part))
        formats.update(read_quantisation(read_header(part)).layers)
    spiece = tensors.get(SPIECE)
    return (
        {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in tensors.items()
            if not name.startswith(_IGNORED) and name not in LEGACY_MARKERS
        },
        {
            layer.removeprefix(_PREFIX): replace(
                kind, scale_name=(kind.scale_name or "").removeprefix(_PREFIX) or None
            )
            for layer, kind in formats.items()
            if not layer.startswith(_IGNORED)
        },
        spiece,
    )


def _tokenizer(path: Path, spiece: torch.Tensor | None) -> Tokenizer:
    if spiece is not None:
        return load_tokenizer(bytes(spiece.to(torch.uint8).numpy().tobytes()))
    beside = tokenizer_beside(path)
    if beside is None:
        raise CheckpointMismatch(
            f"{path.name} comes without a tokenizer.",
            hint="Put Gemma 2's tokenizer.json or tokenizer.model beside it.",
        )
    return load_tokenizer(beside)


def _scale_of(tensors: dict[str, torch.Tensor], kind: LayerFormat | None) -> torch.Tensor | None:
    if kind is None or kind.scale_name is None:
        return None
    if kind.format == "mxfp8" or kind.rotation_group:
        raise CheckpointMismatch("An embedding in mxfp8 or with rotation is not read.")
    return tensors[kind.scale_name]


def _network(
    file_name: str,
    tensors: dict[str, torch.Tensor],
    formats: dict[str, LayerFormat],
    embedding: torch.Tensor,
    device: torch.device,
) -> Any:
    from transformers.models.gemma2.modeling_gemma2 import Gemma2Model, Gemma2RotaryEmbedding

    config = _config(file_name, tensors, embedding)
    with torch.device("meta"):
        network: Any = Gemma2Model(config)
    network.embed_tokens = nn.Identity()  # embeddings are gathered outside
    network.rotary_emb = Gemma2RotaryEmbedding(config).to(device)
    side = {name: t for name, t in tensors.items() if name.endswith(SIDE_TENSORS)}
    plain = {name: t for name, t in tensors.items() if name not in side}
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    require_exact(file_name, expected, {name: tensor.shape for name, tensor in plain.items()})
    for layer, kind in formats.items():
        module = network.get_submodule(layer)
        if not isinstance(module, nn.Linear):
            raise CheckpointMismatch(f"{file_name}: {layer} is quantised, but is no linear layer.")
        # outliers above 100 beside values below 1 would not survive quantised activations
        stand_in = QuantisedLinear(module, kind, torch.bfloat16, is_exact=True)
        scale = None if kind.scale_name is None else side[kind.scale_name].to(device)
        stand_in.fill(layer, plain.pop(f"{layer}.weight").to(device), scale, None)
        network.set_submodule(layer, stand_in)
    network.load_state_dict(
        {name: tensor.to(device, torch.bfloat16) for name, tensor in plain.items()},
        strict=False,
        assign=True,
    )
    return network.eval().requires_grad_(False)


def _config(file_name: str, tensors: dict[str, torch.Tensor], embedding: torch.Tensor) -> Any:
    """Gemma 2 2B's configuration with the widths of the file."""
    from transformers.models.gemma2.configuration_gemma2 import Gemma2Config

    try:
        query_rows = tensors["layers.0.self_attn.q_proj.weight"].shape[0]
        inner = tensors["layers.0.mlp.gate_proj.weight"].shape[0]
    except KeyError as error:
        raise CheckpointMismatch(f"{file_name} has no tensor {error.args[0]}.") from error
    layers = {int(m[1]) for m in (re.match(r"layers\.(\d+)\.", name) for name in tensors) if m}
    head = query_rows // _HEADS
    config = Gemma2Config(
        vocab_size=embedding.shape[0],
        hidden_size=embedding.shape[1],
        intermediate_size=inner,
        num_hidden_layers=1 + max(layers),
        num_attention_heads=_HEADS,
        num_key_value_heads=_KEY_VALUE_HEADS,
        head_dim=head,
        query_pre_attn_scalar=head,
    )
    config._attn_implementation = "eager"  # the others leave out the softcap on attention logits
    return config
