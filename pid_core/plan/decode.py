# SPDX-License-Identifier: Apache-2.0
"""How a PiD decode covers a picture: whole where the network was trained for it, else in windows.

A window is never smaller, larger or longer than what the network was trained on, because its
positions span the decoded image. Windows share one noise field and one state, and their velocities
are blended at every step, so a window's edge is no seam. All figures are pixels of the source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pid_core.errors import InvalidOptions
from pid_core.inspect.backbones import Backbone
from pid_core.inspect.generations import Variant
from pid_core.plan.tiles import Rect


@dataclass(frozen=True)
class WindowLimits:
    """What one window may be, in source pixels."""

    min_area_px: int
    """Smallest area."""
    max_area_px: int
    """Largest area."""
    max_side_px: int
    """Longest side."""
    max_aspect: float
    """Longest side over shortest side."""
    granule_px: int
    """Every side is a multiple of this: one latent cell."""


def window_limits(trained: Variant, family: Backbone) -> WindowLimits:
    """What windows a network of that training and latent family may decode."""
    sizes, area = trained.sizes, family.upscale**2
    return WindowLimits(
        min_area_px=sizes.min_area_px // area,
        max_area_px=sizes.max_area_px // area,
        max_side_px=sizes.max_side_px // family.upscale,
        max_aspect=sizes.max_aspect,
        granule_px=family.downsample,
    )


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of the padded picture."""

    length_px: int
    """Padded length."""
    window_px: int
    """Length of every window; may exceed the length where the axis wraps."""
    starts_px: tuple[int, ...]
    """First pixel of every window."""
    overlap_px: int
    """Pixels over which a window's weight rises from its edge."""
    wraps: bool
    """The end continues at the start."""


@dataclass(frozen=True)
class DecodeLayout:
    """How a picture is padded and cut."""

    x: Axis
    y: Axis

    @property
    def num_windows(self) -> int:
        """Network evaluations for one step."""
        return len(self.x.starts_px) * len(self.y.starts_px)

    @property
    def window_area_px(self) -> int:
        """Area of one window."""
        return self.x.window_px * self.y.window_px


def decode_layout(
    width_px: int,
    height_px: int,
    limits: WindowLimits,
    *,
    tile_px: int,
    overlap_px: int,
    wrap: str = "none",
) -> DecodeLayout:
    """Choose windows: as few as possible, and of those the smallest.

    Args:
        width_px: width of the source, any.
        height_px: height of the source, any.
        limits: what the network was trained on.
        tile_px: a window has at most this area's square root as its mean side, as far as the
            trained sizes allow; smaller saves memory.
        overlap_px: least shared border of two windows.
        wrap: axes that continue on the opposite side: `none`, `x`, `y` or `both`.
    Raises:
        InvalidOptions: a size is not positive, or a wrapping side is no multiple of the granule.
    """
    if min(width_px, height_px, tile_px) < 1:
        raise InvalidOptions(f"A picture of {width_px} x {height_px} px cannot be decoded.")
    area = min(limits.max_area_px, max(_largest_needed(limits), tile_px**2))
    sides = (_Side(width_px, wrap in ("x", "both")), _Side(height_px, wrap in ("y", "both")))
    for side in sides:
        if side.wraps and side.length_px % limits.granule_px:
            raise InvalidOptions(
                f"A seamless side of {side.length_px} px is no multiple of {limits.granule_px}.",
                hint="Resize it first; the engine does so on its own.",
            )
    best: tuple[int, int, DecodeLayout] | None = None
    for columns in range(1, _most_windows(sides[0], limits) + 1):
        for rows in range(1, _most_windows(sides[1], limits) + 1):
            if best is not None and columns * rows > best[0]:
                break
            window = _fitted(
                sides[0].window_px(columns, overlap_px),
                sides[1].window_px(rows, overlap_px),
                limits,
            )
            if window[0] * window[1] > area or max(window) > limits.max_side_px:
                continue
            layout = DecodeLayout(
                sides[0].axis(columns, window[0], overlap_px, limits.granule_px),
                sides[1].axis(rows, window[1], overlap_px, limits.granule_px),
            )
            candidate = (layout.num_windows, layout.window_area_px, layout)
            if best is None or candidate[:2] < best[:2]:
                best = candidate
    if best is None:
        raise InvalidOptions(
            f"{width_px} x {height_px} px cannot be cut into windows of at most {area} px."
        )
    return best[2]


def layout_of(
    width_px: int,
    height_px: int,
    limits: WindowLimits,
    *,
    tile_px: int,
    overlap_px: int,
    wrap: str = "none",
) -> DecodeLayout:
    """`decode_layout` of a picture of any size: sides that wrap are first brought to whole latent
    cells, as the engine resamples them."""
    granule = limits.granule_px

    def side(length_px: int, wraps: bool) -> int:
        return math.ceil(length_px / granule) * granule if wraps else length_px

    return decode_layout(
        side(width_px, wrap in ("x", "both")),
        side(height_px, wrap in ("y", "both")),
        limits,
        tile_px=tile_px,
        overlap_px=overlap_px,
        wrap=wrap,
    )


def rects(layout: DecodeLayout) -> list[Rect]:
    """Windows in reading order; they may reach beyond a picture that has to be padded."""
    return [
        Rect(x, y, layout.x.window_px, layout.y.window_px)
        for y in layout.y.starts_px
        for x in layout.x.starts_px
    ]


@dataclass(frozen=True)
class _Side:
    length_px: int
    wraps: bool

    def window_px(self, count: int, overlap_px: int) -> int:
        """Length that `count` windows need to cover the side."""
        shared = count if self.wraps else count - 1
        return math.ceil((self.length_px + shared * overlap_px) / count)

    def axis(self, count: int, window_px: int, overlap_px: int, granule_px: int) -> Axis:
        """Place `count` windows evenly."""
        length = math.ceil(self.length_px / granule_px) * granule_px
        if self.wraps:
            cells = length // granule_px
            starts = [cells * i // count * granule_px for i in range(count)]
        else:
            length = max(length, window_px)
            last = (length - window_px) // granule_px
            starts = [round(last * i / max(1, count - 1)) * granule_px for i in range(count)]
        return Axis(length, window_px, tuple(starts), overlap_px, self.wraps)


def _fitted(width: int, height: int, limits: WindowLimits) -> tuple[int, int]:
    """The smallest window of the trained sizes that covers width x height."""
    width = max(width, math.ceil(height / limits.max_aspect))
    height = max(height, math.ceil(width / limits.max_aspect))
    growth = math.sqrt(max(1.0, limits.min_area_px / (width * height)))
    granule = limits.granule_px

    def snapped(side: int) -> int:
        return math.ceil(side * growth / granule) * granule

    return snapped(width), snapped(height)


def _largest_needed(limits: WindowLimits) -> int:
    """Area within which a window of any trained aspect can reach the smallest trained area."""
    side = math.sqrt(limits.min_area_px)
    return math.ceil((side + limits.granule_px) * (side * 1.02 + limits.granule_px))


def _most_windows(side: _Side, limits: WindowLimits) -> int:
    shortest = math.sqrt(limits.min_area_px / limits.max_aspect)
    return 2 + math.ceil(2 * side.length_px / shortest)
