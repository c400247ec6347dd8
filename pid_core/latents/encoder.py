# SPDX-License-Identifier: Apache-2.0
"""Encoding pictures of any size: whole while they are small, else in overlapping tiles.

A VAE's group norms and its one attention see a whole tile, so tiles cannot equal the whole exactly:
neighbours share a wide border, of which the outer part is context alone and the rest is blended.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import torch

from pid_core.decoder.windows import weights
from pid_core.errors import ShapeMismatch
from pid_core.inspect.backbones import Backbone
from pid_core.latents.normalise import Statistics, normalise
from pid_core.plan.decode import Axis

TILE_PX = 1024
"""Sides up to this are encoded whole: 1 GB in bfloat16."""
CONTEXT_PX = 64
"""Border of a tile that is read and thrown away."""
BLEND_PX = 128
"""Border inside that, over which two tiles are blended."""
_VAE_PX = 8


class LatentEncoder:
    """The encoding half of a VAE, and the family's normalisation.

    Args:
        network: one of diffusers' autoencoders.
        row: the latent family.
        statistics: from the VAE's file, where the family has them.
        device: where the network lies.
        dtype: of its weights.
    """

    def __init__(
        self,
        network: Any,
        row: Backbone,
        statistics: Statistics | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.backbone = row
        self._network, self._statistics = network, statistics
        self._device, self._dtype = device, dtype

    def resident_bytes(self) -> int:
        """Memory that the weights hold."""
        return sum(p.numel() * p.element_size() for p in self._network.parameters())

    def encode(
        self, image: torch.Tensor, tile_px: int = TILE_PX
    ) -> Generator[tuple[int, int], None, torch.Tensor]:
        """Picture -> latent, one yield after each tile but the last.

        Args:
            image: [1, 3, H, W] float32 in [-1, 1]; sides are multiples of `backbone.downsample`.
            tile_px: longest side that is encoded at once, context included.
        Yields:
            (tiles done, tiles in all).
        Returns:
            [1, channels, H / downsample, W / downsample] float32, the posterior's mean normalised.
        Raises:
            ShapeMismatch: a side is no multiple of the family's factor.
        """
        height, width = image.shape[-2:]
        factor = self.backbone.downsample
        if height % factor or width % factor:
            raise ShapeMismatch(
                f"{width} x {height} px are no multiple of {factor}, which {self.backbone.title} "
                "needs."
            )
        rows, columns = _tiles(height, tile_px), _tiles(width, tile_px)
        if len(rows.starts_px) == len(columns.starts_px) == 1:
            mean = self._mean(image)
        else:
            mean = yield from self._blended(image, rows, columns)
        return normalise(mean, self.backbone.normalisation, self._statistics)

    def _blended(
        self, image: torch.Tensor, rows: Axis, columns: Axis
    ) -> Generator[tuple[int, int], None, torch.Tensor]:
        size = (1, self.backbone.vae_channels, rows.length_px, columns.length_px)
        total = torch.zeros(size, device=self._device)
        count = len(rows.starts_px) * len(columns.starts_px)
        done = 0
        for y, row_share in zip(rows.starts_px, weights(rows, 1), strict=True):
            for x, column_share in zip(columns.starts_px, weights(columns, 1), strict=True):
                top, bottom = _with_context(y, rows)
                left, right = _with_context(x, columns)
                tile = image[
                    ..., top * _VAE_PX : bottom * _VAE_PX, left * _VAE_PX : right * _VAE_PX
                ]
                mean = self._mean(tile)[
                    ..., y - top : y - top + rows.window_px, x - left : x - left + columns.window_px
                ]
                share = row_share.unsqueeze(1) * column_share
                total[..., y : y + rows.window_px, x : x + columns.window_px] += mean * share.to(
                    self._device
                )
                done += 1
                if done < count:
                    yield done, count
        return total

    @torch.no_grad()
    def _mean(self, image: torch.Tensor) -> torch.Tensor:
        """[1, 3, H, W] -> [1, C, H / 8, W / 8] float32, the posterior's mean."""
        image = image.to(self._device, self._dtype)
        if self.backbone.name == "qwenimage":  # a video VAE: one frame
            return self._network.encode(image.unsqueeze(2)).latent_dist.mode().squeeze(2).float()
        return self._network.encode(image).latent_dist.mode().float()


def _tiles(length_px: int, tile_px: int) -> Axis:
    """Windows along one side, in cells of the VAE, without their context."""
    length, blend = length_px // _VAE_PX, BLEND_PX // _VAE_PX
    context = CONTEXT_PX // _VAE_PX
    if length_px <= tile_px:
        return Axis(length, length, (0,), blend, wraps=False)
    most = max(2 * blend, tile_px // _VAE_PX - 2 * context)
    count = math.ceil((length - blend) / (most - blend))
    window = math.ceil((length + (count - 1) * blend) / count)
    starts = tuple(round((length - window) * i / (count - 1)) for i in range(count))
    return Axis(length, window, starts, blend, wraps=False)


def _with_context(start: int, axis: Axis) -> tuple[int, int]:
    context = CONTEXT_PX // _VAE_PX
    return max(0, start - context), min(axis.length_px, start + axis.window_px + context)
