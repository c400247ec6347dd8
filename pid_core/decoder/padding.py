# SPDX-License-Identifier: Apache-2.0
"""Bringing a picture to the size that a layout decodes, and taking the answer out of it again."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pid_core.pixels.resample import Axis as SampledAxis
from pid_core.pixels.resample import resample
from pid_core.plan.decode import DecodeLayout


@dataclass(frozen=True)
class Padded:
    """A picture with mirrored surroundings, or a seamless one at a size of whole latent cells."""

    image: torch.Tensor
    """[1, 3, H, W] float32, as large as the layout says."""
    x: int
    """First column of the picture itself."""
    y: int
    """First row of the picture itself."""


def padded(image: torch.Tensor, layout: DecodeLayout) -> Padded:
    """Mirror a picture's borders outwards, evenly on both sides, as often as it takes.

    Mirrored surroundings are a plausible context; a seamless side needs none and is already of a
    fitting size (see `to_seamless_size`).
    """
    height, width = image.shape[-2:]
    y, x = (layout.y.length_px - height) // 2, (layout.x.length_px - width) // 2
    rows = mirrored(height, y, layout.y.length_px)
    columns = mirrored(width, x, layout.x.length_px)
    return Padded(image[..., rows, :][..., columns], x, y)


def mirrored(length: int, before: int, padded_length: int) -> torch.Tensor:
    """Indices into an axis whose ends are mirrors (the outermost sample is not doubled)."""
    position = torch.arange(padded_length) - before
    if length == 1:
        return torch.zeros_like(position)
    period = 2 * (length - 1)
    position = position.remainder(period)
    return torch.minimum(position, period - position)


def wrapped(image: torch.Tensor, border_x: int, border_y: int) -> torch.Tensor:
    """Surround a seamless picture with what lies at its opposite sides."""
    height, width = image.shape[-2:]
    rows = (torch.arange(height + 2 * border_y) - border_y).remainder(height)
    columns = (torch.arange(width + 2 * border_x) - border_x).remainder(width)
    return image[..., rows, :][..., columns]


def to_seamless_size(image: torch.Tensor, granule: int, wrap: str) -> torch.Tensor:
    """Resample the sides that wrap up to the next multiple of a latent cell."""
    height, width = image.shape[-2:]
    to_width = -(-width // granule) * granule if wrap in ("x", "both") else width
    to_height = -(-height // granule) * granule if wrap in ("y", "both") else height
    return _resampled(image, to_width, to_height, wrap)


def from_seamless_size(image: torch.Tensor, width: int, height: int, wrap: str) -> torch.Tensor:
    """Resample the answer back to the factor that was asked for."""
    return _resampled(image, width, height, wrap)


def _resampled(image: torch.Tensor, width: int, height: int, wrap: str) -> torch.Tensor:
    if (height, width) == tuple(image.shape[-2:]):
        return image
    x = SampledAxis(image.shape[-1], width, wrap=wrap in ("x", "both"))
    y = SampledAxis(image.shape[-2], height, wrap=wrap in ("y", "both"))
    return resample(image[0], x, y)[None]
