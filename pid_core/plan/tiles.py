# SPDX-License-Identifier: Apache-2.0
"""Tiles of a picture: cores that cover it exactly once, and the halo that an engine reads around
them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rect:
    """A rectangle in pixels; x grows to the right, y downwards."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column behind the rectangle."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the rectangle."""
        return self.y + self.height


def tile_cores(width_px: int, height_px: int, tile_px: int) -> list[Rect]:
    """Cut a picture into a grid of nearly equal cores, none with a side longer than `tile_px`.

    Returns:
        Rectangles in reading order that cover every pixel exactly once.
    Raises:
        ValueError: a side or the tile is not positive.
    """
    if min(width_px, height_px, tile_px) < 1:
        raise ValueError(f"sides must be positive: picture {width_px}x{height_px}, tile {tile_px}")
    columns, rows = math.ceil(width_px / tile_px), math.ceil(height_px / tile_px)
    xs = [width_px * i // columns for i in range(columns + 1)]
    ys = [height_px * i // rows for i in range(rows + 1)]
    return [
        Rect(xs[i], ys[j], xs[i + 1] - xs[i], ys[j + 1] - ys[j])
        for j in range(rows)
        for i in range(columns)
    ]


def with_halo(core: Rect, halo_px: int, width_px: int, height_px: int) -> Rect:
    """Grow a core by `halo_px` on every side, as far as the picture reaches."""
    x, y = max(0, core.x - halo_px), max(0, core.y - halo_px)
    right = min(width_px, core.right + halo_px)
    bottom = min(height_px, core.bottom + halo_px)
    return Rect(x, y, right - x, bottom - y)
