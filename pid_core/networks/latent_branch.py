# SPDX-License-Identifier: Apache-2.0
"""The branch that reads the latent: aligned to patches, convolved once, injected through gates.

Nothing here depends on the noisy image or on the step, except the gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.errors import ShapeMismatch
from pid_core.networks.layers import token_chunks
from pid_core.networks.sizes import PidNetSizes

_NORM_GROUPS = 4
_NORM_EPS = 1e-5
_KEPT_HEADS_BYTES = 128 << 20
"""Head outputs up to this size are kept for all steps; larger ones are made again where they are
used, which costs 3 % of the linear work (0.5 % of all work at 4096 x 4096) and saves 1.6 GB
there."""


@dataclass(frozen=True)
class LatentFeatures:
    """What the latent contributes to every step."""

    tokens: torch.Tensor
    """[B, L, latent_hidden_size] in the compute dtype."""
    sigma: torch.Tensor
    """[B, 1, 1] float32, noise left in the latent."""
    heads: tuple[torch.Tensor, ...] | None
    """Output of every head, [B, L, hidden_size] each, when they are small enough to keep."""


class ResBlock(nn.Module):
    """Two normed convolutions beside a float32 residual stream."""

    def __init__(self, channels: int, padding_mode: str) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.GroupNorm(_NORM_GROUPS, channels, eps=_NORM_EPS),
            nn.SiLU(),
            _conv(channels, channels, padding_mode),
            nn.GroupNorm(_NORM_GROUPS, channels, eps=_NORM_EPS),
            nn.SiLU(),
            _conv(channels, channels, padding_mode),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, Hs, Ws] float32 -> the same."""
        norm1, _, conv1, norm2, _, conv2 = self.block
        hidden = _convolve(conv1, F.silu(_group_norm(norm1, x)))
        return x + _convolve(conv2, F.silu(_group_norm(norm2, hidden)))


class SigmaGate(nn.Module):
    """Adds a latent feature to a token as far as the token asks; noise in the latent closes it."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.content_proj = nn.Linear(2 * size, outputs)
        self.log_alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, feature: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """What to add to the tokens.

        Args:
            x: [B, n, size] float32.
            feature: [B, n, size] in the compute dtype.
            sigma: [B, 1, 1] float32; one value for a sample, so tokens must keep their batch axis.
        Returns:
            [B, n, size] float32.
        """
        logit = self.content_proj(torch.cat((x.to(feature.dtype), feature), dim=-1)).float()
        return torch.sigmoid(logit - self.log_alpha.float().exp() * sigma) * feature


class LatentBranch(nn.Module):
    """Latent -> features for every injection point of the network.

    Source: nv-tlabs/PiD 2c8814c, networks/lq_projection_2d.py::LQProjection2D
    """

    def __init__(self, sizes: PidNetSizes) -> None:
        super().__init__()
        self.sizes = sizes
        hidden, padding_mode = sizes.latent_hidden_size, sizes.padding_mode
        self.latent_proj = nn.Sequential(
            _conv(sizes.conv_in_channels, hidden, padding_mode),
            nn.SiLU(),
            _conv(hidden, hidden, padding_mode),
            *(ResBlock(hidden, padding_mode) for _ in range(sizes.num_res_blocks)),
        )
        self.output_heads = nn.ModuleList(
            nn.Linear(hidden, sizes.hidden_size) for _ in range(sizes.num_injections)
        )
        self.gate_modules = nn.ModuleList(make_gate(sizes) for _ in range(sizes.num_injections))
        if sizes.has_pixel_injection:
            self.pit_head = nn.Linear(hidden, sizes.hidden_size)

    def prepare(
        self, latent: torch.Tensor, sigma: torch.Tensor, rows: int, columns: int
    ) -> LatentFeatures:
        """Everything about the latent that all steps share.

        Args:
            latent: [B, latent_channels, h, w] float, normalised for the backbone.
            sigma: [B] float in [0, 1], noise left in `latent`.
            rows: patches along the output's height.
            columns: patches along the output's width.
        Raises:
            ShapeMismatch: the latent's channels are not this network's.
        """
        first, _, second, *blocks = self.latent_proj
        x = _convolve(first, align(latent.float(), self.sizes, rows, columns))
        x = _convolve(second, F.silu(x))
        for block in blocks:
            x = block(x)
        tokens = (
            x.to(cast(torch.Tensor, first.weight).dtype).flatten(2).transpose(1, 2).contiguous()
        )
        heads = self._all_heads()
        kept_bytes = tokens[..., 0].numel() * self.sizes.hidden_size * tokens.itemsize * len(heads)
        return LatentFeatures(
            tokens=tokens,
            sigma=sigma.float().view(-1, 1, 1),
            heads=tuple(head(tokens) for head in heads)
            if kept_bytes <= _KEPT_HEADS_BYTES
            else None,
        )

    def inject(self, x: torch.Tensor, features: LatentFeatures, index: int, chunk: int) -> None:
        """Add injection `index` to the tokens [B, L, hidden_size], in place."""
        gate = self.gate_modules[index]
        for rows in token_chunks(x.shape[1], chunk):
            part = x[:, rows]
            part += gate(part, self.feature(features, index, rows), features.sigma)

    def feature(self, features: LatentFeatures, index: int, rows: slice) -> torch.Tensor:
        """A run of one head's output, [B, n, hidden_size]; index -1 is the pixel blocks' head."""
        if features.heads is not None:
            return features.heads[index][:, rows]
        return self._all_heads()[index](features.tokens[:, rows])

    def _all_heads(self) -> list[nn.Module]:
        pixel_head = [self.pit_head] if self.sizes.has_pixel_injection else []
        return [*self.output_heads, *pixel_head]


def make_gate(sizes: PidNetSizes) -> SigmaGate:
    """A gate of the network's kind: one value for a token, or one for each of its channels."""
    is_per_token = sizes.gate == "sigma_aware_per_token"
    return SigmaGate(sizes.hidden_size, 1 if is_per_token else sizes.hidden_size)


def align(latent: torch.Tensor, sizes: PidNetSizes, rows: int, columns: int) -> torch.Tensor:
    """Bring a latent to the grid of patches.

    Coarser cells are repeated, finer cells are folded into channels; a size that does not fit is
    absorbed by the resampling that the official code uses in each case.

    Args:
        latent: [B, latent_channels, h, w] float32.
        sizes: the network's sizes.
        rows: patches along the height.
        columns: patches along the width.
    Returns:
        [B, conv_in_channels, rows, columns] float32.
    Raises:
        ShapeMismatch: the latent's channels are not this network's.
    """
    if latent.dim() != 4 or latent.shape[1] != sizes.latent_channels:
        raise ShapeMismatch(
            f"the network reads [B, {sizes.latent_channels}, h, w], not {list(latent.shape)}",
            hint="use weights made for this latent's family",
        )
    latent = F.pixel_shuffle(latent, sizes.unpatchify)
    if sizes.cells_per_token > 1:
        return F.interpolate(latent, size=(rows, columns), mode="nearest")
    grid = (rows * sizes.fold, columns * sizes.fold)
    if latent.shape[-2:] != grid:
        latent = F.interpolate(latent, size=grid, mode="bilinear", align_corners=False)
    return F.pixel_unshuffle(latent, sizes.fold)


def _conv(channels_in: int, channels_out: int, padding_mode: str) -> nn.Conv2d:
    mode = cast(Any, padding_mode)  # torch itself refuses what it does not know
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode=mode)


def _convolve(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Convolve in the compute dtype, back to float32."""
    return conv(x.to(cast(torch.Tensor, conv.weight).dtype)).float()


def _group_norm(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    weight, bias = cast(torch.Tensor, norm.weight), cast(torch.Tensor, norm.bias)
    return F.group_norm(x, _NORM_GROUPS, weight.float(), bias.float(), _NORM_EPS)
