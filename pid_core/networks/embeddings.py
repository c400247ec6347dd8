# SPDX-License-Identifier: Apache-2.0
"""How time, caption, patches and pixels become tokens, and tokens an image again; in float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.networks.layers import RmsNorm, linear_float32

TIME_SCALE = 1000.0
"""The network's clock: a schedule's t in [0, 1] times this."""
_TIME_FEATURES = 256
_TIME_MAX_PERIOD = 10.0


def timestep_features(timestep: torch.Tensor) -> torch.Tensor:
    """Cosines, then sines, of a timestep at 128 frequencies.

    Args:
        timestep: [B] float32, TIME_SCALE * t; bfloat16 could not tell 999 from 1000.
    Returns:
        [B, 256] float32.
    Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::TimestepConditioner
    """
    half = _TIME_FEATURES // 2
    steps = torch.arange(half, dtype=torch.float32, device=timestep.device)
    # Rounded exactly as in training: at t = 999 one unit in the last place of a frequency is 1e-4
    # radians.
    frequencies = torch.exp(-math.log(_TIME_MAX_PERIOD) * steps / half)
    angles = torch.outer(timestep.float(), frequencies)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class TimestepEmbedder(nn.Module):
    """Timestep -> one token that all blocks are modulated by."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_TIME_FEATURES, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        """[B] float32 -> [B, 1, size] float32."""
        hidden = F.silu(linear_float32(cast(nn.Linear, self.mlp[0]), timestep_features(timestep)))
        return linear_float32(cast(nn.Linear, self.mlp[2]), hidden).unsqueeze(1)


class CaptionEmbedder(nn.Module):
    """Caption embeddings -> text tokens, before their position is added."""

    def __init__(self, caption_size: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(caption_size, size)
        self.norm = RmsNorm(size)

    def forward(self, caption_embeddings: torch.Tensor) -> torch.Tensor:
        """[B, N, caption_size] -> [B, N, size]; float32, for the encoder's outliers exceed 100."""
        return self.norm(linear_float32(self.proj, caption_embeddings))


class PatchEmbedder(nn.Module):
    """Non-overlapping patches -> image tokens."""

    def __init__(self, channels: int, patch_px: int, size: int) -> None:
        super().__init__()
        self.patch_px = patch_px
        self.proj = nn.Linear(channels * patch_px**2, size)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[B, channels, H, W] -> [B, L, size] float32; a patch is read channel by channel."""
        patches = F.pixel_unshuffle(image.float(), self.patch_px)
        return linear_float32(self.proj, patches.flatten(2).transpose(1, 2))


class PixelEmbedder(nn.Module):
    """Pixels -> pixel tokens."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, size)

    def forward(self, image: torch.Tensor, positions: PixelPositions) -> torch.Tensor:
        """[B, channels, H, W] -> [B, L, pixels of a patch, size] float32, all row by row."""
        patch_px = positions.columns.shape[1]
        height, width = image.shape[-2:]
        pixels = image.float().unflatten(3, (width // patch_px, patch_px))
        pixels = pixels.unflatten(2, (height // patch_px, patch_px))
        pixels = linear_float32(self.proj, pixels.permute(0, 2, 4, 3, 5, 1))
        half = pixels.shape[-1] // 2
        pixels[..., :half] += positions.columns.unsqueeze(1)
        pixels[..., half:] += positions.rows[:, None, :, None]
        return pixels.flatten(3, 4).flatten(1, 2)


@dataclass(frozen=True)
class PixelPositions:
    """Fixed sine and cosine codes of every pixel's column and row in the whole image.

    A pixel's code is its column's half followed by its row's, so H + W codes stand for H * W of
    them.
    """

    columns: torch.Tensor
    """[W / patch_px, patch_px, size / 2] float32."""
    rows: torch.Tensor
    """[H / patch_px, patch_px, size / 2] float32."""

    @classmethod
    def build(
        cls, height: int, width: int, patch_px: int, size: int, device: torch.device
    ) -> PixelPositions:
        """Codes for an image of `height` x `width` pixels.

        Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::PixelTokenEmbedder
        """

        def axis(length: int) -> torch.Tensor:
            exponent = torch.arange(size // 4, dtype=torch.float64) / (size // 4)
            angles = torch.outer(torch.arange(length, dtype=torch.float64), 10000.0**-exponent)
            code = torch.cat((angles.sin(), angles.cos()), dim=-1).float()
            return code.unflatten(0, (-1, patch_px)).to(device)

        return cls(axis(width), axis(height))


class FinalLayer(nn.Module):
    """Pixel tokens -> velocity of every pixel."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.norm = RmsNorm(size)
        self.linear = nn.Linear(size, channels)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """[..., size] float32 -> [..., channels] float32."""
        return linear_float32(self.linear, self.norm(pixels))
