# SPDX-License-Identifier: Apache-2.0
"""Reading and writing windows of a tensor, also across edges that wrap, and how windows are
blended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pid_core.plan.decode import Axis, DecodeLayout


@dataclass(frozen=True)
class Window:
    """One window's place, in the units of the tensor it is taken from."""

    x: int
    y: int
    width: int
    height: int


def windows(layout: DecodeLayout, numerator: int = 1, denominator: int = 1) -> list[Window]:
    """Windows of a layout in reading order.

    Args:
        layout: in source pixels.
        numerator: output pixels per source pixel, for windows of the output.
        denominator: source pixels per latent cell, for windows of the latent.
    """

    def scaled(value: int) -> int:
        return value * numerator // denominator

    return [
        Window(scaled(x), scaled(y), scaled(layout.x.window_px), scaled(layout.y.window_px))
        for y in layout.y.starts_px
        for x in layout.x.starts_px
    ]


def read(tensor: torch.Tensor, window: Window) -> torch.Tensor:
    """[..., H, W] -> [..., window.height, window.width]; positions beyond an edge wrap around."""
    height, width = tensor.shape[-2:]
    if window.x + window.width <= width and window.y + window.height <= height:
        return tensor[..., window.y : window.y + window.height, window.x : window.x + window.width]
    part = tensor.new_empty((*tensor.shape[:-2], window.height, window.width))
    for here, there in _pieces(window, height, width):
        part[..., there[0], there[1]] = tensor[..., here[0], here[1]]
    return part


def add(total: torch.Tensor, window: Window, part: torch.Tensor) -> None:
    """Add a window's values to [..., H, W], in place; positions beyond an edge wrap around."""
    height, width = total.shape[-2:]
    for here, there in _pieces(window, height, width):
        total[..., here[0], here[1]] += part[..., there[0], there[1]]


def weights(axis: Axis, scale: int) -> list[torch.Tensor]:
    """Share that each window of an axis has in every one of its own positions.

    A window's weight rises linearly from an edge that other windows overlap; where windows lie on
    the same position their shares sum to 1. One window alone has 1 everywhere, exactly.

    Args:
        axis: windows along it, in source pixels.
        scale: output pixels per source pixel.
    Returns:
        One [window * scale] float32 tensor for each window.
    """
    length, size, ramp = axis.length_px * scale, axis.window_px * scale, axis.overlap_px * scale
    starts = [start * scale for start in axis.starts_px]
    position = torch.arange(size, dtype=torch.float64) + 0.5
    raw: list[torch.Tensor] = []
    for start in starts:
        rise = torch.ones(size, dtype=torch.float64)
        if ramp and (axis.wraps or start > 0):
            rise = torch.minimum(rise, position / ramp)
        if ramp and (axis.wraps or start + size < length):
            rise = torch.minimum(rise, (size - position) / ramp)
        raw.append(rise)
    total = torch.zeros(1, length, dtype=torch.float64)
    spans = [Window(start, 0, size, 1) for start in starts]
    for span, rise in zip(spans, raw, strict=True):
        add(total, span, rise.unsqueeze(0))
    return [(rise / read(total, span)[0]).float() for span, rise in zip(spans, raw, strict=True)]


Slices = tuple[slice, slice]


def _pieces(window: Window, height: int, width: int) -> Iterator[tuple[Slices, Slices]]:
    """Rectangles of a window between edges: (place in the tensor, place in the window)."""
    for here_y, there_y in _runs(window.y, window.height, height):
        for here_x, there_x in _runs(window.x, window.width, width):
            yield (here_y, here_x), (there_y, there_x)


def _runs(start: int, size: int, length: int) -> Iterator[tuple[slice, slice]]:
    done = 0
    while done < size:
        place = (start + done) % length
        count = min(size - done, length - place)
        yield slice(place, place + count), slice(done, done + count)
        done += count
