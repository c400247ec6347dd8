# SPDX-License-Identifier: Apache-2.0
"""The transformer block over pixels: attention between patches, a small MLP for every pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.networks.attention import AttentionInputs
from pid_core.networks.layers import RmsNorm, modulated_norm, token_chunks

_ATTENTION_NORM = slice(0, 2)
_ATTENTION_GATE_AND_MLP = slice(2, 6)
"""Parts of the six modulations: shift, scale, gate of the attention, then of the MLP."""


class PatchAttention(nn.Module):
    """Projections and norms around the attention between patches."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, size // heads
        self.qkv = nn.Linear(size, 3 * size, bias=False)
        self.q_norm = RmsNorm(self.head_size)
        self.k_norm = RmsNorm(self.head_size)
        self.proj = nn.Linear(size, size)


class PixelMlp(nn.Module):
    """Two layers for every pixel, with the exact (erf) GELU between them."""

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, inner_size)
        self.fc2 = nn.Linear(inner_size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., size] -> [..., size]."""
        return self.fc2(F.gelu(self.fc1(x)))


class PixelBlock(nn.Module):
    """Updates every pixel from the others, under modulations that its own patch token gives it.

    Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::PiTBlock
    """

    def __init__(
        self, hidden_size: int, pixels: int, pixel_size: int, attention_size: int, heads: int
    ) -> None:
        super().__init__()
        self.pixels, self.pixel_size = pixels, pixel_size
        self.compress_to_attn = nn.Linear(pixels * pixel_size, attention_size)
        self.expand_from_attn = nn.Linear(attention_size, pixels * pixel_size)
        self.norm1 = RmsNorm(pixel_size)
        self.norm2 = RmsNorm(pixel_size)
        self.attn = PatchAttention(attention_size, heads)
        self.mlp = PixelMlp(pixel_size, 4 * pixel_size)
        self.adaLN_modulation = nn.Sequential(nn.Linear(hidden_size, 6 * pixels * pixel_size))

    def forward(
        self, u: torch.Tensor, condition: torch.Tensor, table: torch.Tensor, *, chunk: int
    ) -> None:
        """Update the pixel stream in place.

        Args:
            u: [B, L, pixels, pixel_size] float32, the pixels of each patch.
            condition: [B, L, hidden_size] in the compute dtype, the patch tokens.
            table: [L, head_size / 2] complex64, rotations of the patches.
            chunk: patches that pass through the wide layers at once.
        """
        attended = self._attention_inputs(u, condition, table, chunk).attend()
        layers = self._modulation_layers(_ATTENTION_GATE_AND_MLP)
        for rows in token_chunks(u.shape[1], chunk):
            gate, mlp_shift, mlp_scale, mlp_gate = self._modulate(condition[:, rows], layers)
            part = u[:, rows]
            update = self.expand_from_attn(self.attn.proj(attended[:, rows]))
            part.addcmul_(gate, update.view_as(part))
            part.addcmul_(
                mlp_gate, self.mlp(modulated_norm(part, self.norm2, mlp_shift, mlp_scale))
            )

    def _attention_inputs(
        self, u: torch.Tensor, condition: torch.Tensor, table: torch.Tensor, chunk: int
    ) -> AttentionInputs:
        attn, num_patches = self.attn, u.shape[1]
        inputs = AttentionInputs.empty(
            condition, num_patches, num_patches, attn.heads, attn.head_size
        )
        layers = self._modulation_layers(_ATTENTION_NORM)
        for rows in token_chunks(num_patches, chunk):
            shift, scale = self._modulate(condition[:, rows], layers)
            normed = modulated_norm(u[:, rows], self.norm1, shift, scale)
            inputs.fill(
                attn.qkv(self.compress_to_attn(normed.flatten(2))),
                (attn.q_norm, attn.k_norm),
                table[rows],
                query_start=rows.start,
                key_start=rows.start,
            )
        return inputs

    def _modulation_layers(self, which: slice) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        """Each wanted modulation as a layer of its own.

        The six modulations of all pixels are the widest tensor of the network; attention stands
        between the first two and the other four. Gathering weight rows (12.6 MB for each) is far
        cheaper than holding modulations over the attention, or making them twice; where layers are
        rearranged for a CPU they are gathered once, see `split_modulation`.
        """
        layer = self.adaLN_modulation[0]
        if isinstance(layer, nn.ModuleList):
            return list(layer[which])
        return [partial(F.linear, weight=w, bias=b) for w, b in self._gathered(layer, which)]

    def _gathered(self, layer: nn.Module, which: slice) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weight [pixels * pixel_size, hidden_size] and bias of each wanted modulation."""
        rows = (self.pixels, 6, self.pixel_size)
        weight, bias = cast(torch.Tensor, layer.weight), cast(torch.Tensor, layer.bias)
        weights = weight.unflatten(0, rows)[:, which].unbind(1)
        biases = bias.unflatten(0, rows)[:, which].unbind(1)
        return [(w.flatten(0, 1), b.flatten()) for w, b in zip(weights, biases, strict=True)]

    def split_modulation(self, make: Callable[[torch.Tensor, torch.Tensor], nn.Module]) -> None:
        """Replace the wide modulation layer by one layer for each modulation, for good.

        Args:
            make: a layer from its weight and bias.
        """
        layer = self.adaLN_modulation[0]
        parts = [make(*pair) for pair in self._gathered(layer, slice(None))]
        self.adaLN_modulation[0] = nn.ModuleList(parts)

    def _modulate(
        self, condition: torch.Tensor, layers: list[Callable[[torch.Tensor], torch.Tensor]]
    ) -> list[torch.Tensor]:
        """[B, n, hidden_size] -> each layer's modulation, [B, n, pixels, pixel_size]."""
        shape = (self.pixels, self.pixel_size)
        return [layer(condition).unflatten(-1, shape) for layer in layers]
