# SPDX-License-Identifier: Apache-2.0
"""The transformer block over image patches and caption rows: one attention, two sets of weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from pid_core.networks.attention import AttentionInputs
from pid_core.networks.layers import RmsNorm, SwiGlu, modulated_norm, token_chunks


@dataclass(frozen=True)
class Modulation:
    """What the timestep does to one stream of a block; all [B, 1, size] in the compute dtype."""

    attention_shift: torch.Tensor
    attention_scale: torch.Tensor
    attention_gate: torch.Tensor
    mlp_shift: torch.Tensor
    mlp_scale: torch.Tensor
    mlp_gate: torch.Tensor


class JointAttention(nn.Module):
    """Projections and norms around the attention of image (x) and text (y) tokens."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, size // heads
        self.qkv_x = nn.Linear(size, 3 * size, bias=False)
        self.qkv_y = nn.Linear(size, 3 * size, bias=False)
        self.q_norm_x = RmsNorm(self.head_size)
        self.k_norm_x = RmsNorm(self.head_size)
        self.q_norm_y = RmsNorm(self.head_size)
        self.k_norm_y = RmsNorm(self.head_size)
        self.proj_x = nn.Linear(size, size)
        self.proj_y = nn.Linear(size, size)


class PatchBlock(nn.Module):
    """Attention and feed-forward layers, both modulated and gated by the timestep.

    Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::MMDiTBlockT2I
    """

    def __init__(self, size: int, heads: int, feed_forward_size: int) -> None:
        super().__init__()
        self.norm_x1 = RmsNorm(size)
        self.norm_y1 = RmsNorm(size)
        self.norm_x2 = RmsNorm(size)
        self.norm_y2 = RmsNorm(size)
        self.attn = JointAttention(size, heads)
        self.mlp_x = SwiGlu(size, feed_forward_size)
        self.mlp_y = SwiGlu(size, feed_forward_size)
        self.adaLN_modulation_img = nn.Sequential(nn.Linear(size, 6 * size))
        self.adaLN_modulation_txt = nn.Sequential(nn.Linear(size, 6 * size))

    def forward(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        time: torch.Tensor,
        tables: tuple[torch.Tensor, torch.Tensor | None],
        *,
        chunk: int,
        is_last: bool,
    ) -> None:
        """Update both streams in place.

        Args:
            x: [B, L, size] float32, image tokens.
            y: [B, N, size] float32, text tokens; left alone by the last block, whose text output
                nobody reads.
            time: [B, 1, size] in the compute dtype.
            tables: rotations of image and of text tokens; None = text has no position.
            chunk: image tokens that pass through the wide layers at once.
            is_last: skip everything that only serves the text output.
        """
        image = Modulation(*self.adaLN_modulation_img(time).chunk(6, dim=-1))
        text = Modulation(*self.adaLN_modulation_txt(time).chunk(6, dim=-1))
        attended = self._attention_inputs(x, y, image, text, tables, chunk, is_last).attend()

        if not is_last:
            num_text = y.shape[1]
            y.addcmul_(text.attention_gate, self.attn.proj_y(attended[:, :num_text]))
            y.addcmul_(
                text.mlp_gate,
                self.mlp_y(modulated_norm(y, self.norm_y2, text.mlp_shift, text.mlp_scale)),
            )
            attended = attended[:, num_text:]
        for rows in token_chunks(x.shape[1], chunk):
            part = x[:, rows]
            part.addcmul_(image.attention_gate, self.attn.proj_x(attended[:, rows]))
            part.addcmul_(
                image.mlp_gate,
                self.mlp_x(modulated_norm(part, self.norm_x2, image.mlp_shift, image.mlp_scale)),
            )

    def _attention_inputs(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        image: Modulation,
        text: Modulation,
        tables: tuple[torch.Tensor, torch.Tensor | None],
        chunk: int,
        is_last: bool,
    ) -> AttentionInputs:
        """Queries, keys and values of [text, image]; the last block's queries are the image's."""
        attn = self.attn
        num_text, num_image = y.shape[1], x.shape[1]
        num_text_queries = 0 if is_last else num_text
        inputs = AttentionInputs.empty(
            image.attention_shift,
            num_text_queries + num_image,
            num_text + num_image,
            attn.heads,
            attn.head_size,
        )
        inputs.fill(
            attn.qkv_y(modulated_norm(y, self.norm_y1, text.attention_shift, text.attention_scale)),
            (attn.q_norm_y, attn.k_norm_y),
            tables[1],
            query_start=None if is_last else 0,
            key_start=0,
        )
        for rows in token_chunks(num_image, chunk):
            normed = modulated_norm(
                x[:, rows], self.norm_x1, image.attention_shift, image.attention_scale
            )
            inputs.fill(
                attn.qkv_x(normed),
                (attn.q_norm_x, attn.k_norm_x),
                tables[0][rows],
                query_start=num_text_queries + rows.start,
                key_start=num_text + rows.start,
            )
        return inputs
