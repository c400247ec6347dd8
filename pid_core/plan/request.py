# SPDX-License-Identifier: Apache-2.0
"""What is asked of an upscale, and the size that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pid_core.errors import InvalidOptions
from pid_core.plan.tiles import Rect

UPSCALE, ENHANCE = "upscale", "enhance"
AUTO = "auto"
WRAPS = ("none", "x", "y", "both")
MAX_FACTOR = 8.0
"""Largest enlargement of a side; beyond it the engines only invent."""


@dataclass(frozen=True)
class UpscaleRequest:
    """One job's dials that the core has a use for. Defaults are those of the options table."""

    kind: str = UPSCALE
    """`upscale`, or `enhance`: the answer has the source's own size."""
    scale: float = 4.0
    """Enlargement of each side, 1 to 8; used when `longest`, `width` and `height` are 0."""
    longest: int = 0
    """Longest side of the result in pixels."""
    width: int = 0
    """Exact width of the result in pixels, together with `height`; goes before `longest`."""
    height: int = 0
    """Exact height of the result in pixels."""
    engine: str = AUTO
    """`auto` or an engine's name."""
    weights: str = ""
    """Identifier of the weights; empty = the engine's default."""
    prompt: str = ""
    """What the picture shows."""
    negative_prompt: str = ""
    """What it must not show."""
    repair: float = 0.0
    """0 = faithful, 1 = repair heavy damage."""
    sigma: float | None = None
    """Degradation sigma in [0, 1]; None = follow `repair`."""
    seed: int = 0
    """Seed of every random draw."""
    steps: int = 4
    """Denoising steps, where the engine has any."""
    colour_lock: bool = True
    """Keep the source's low frequencies."""
    wrap: str = "none"
    """Edges that continue on the opposite side: `none`, `x`, `y` or `both`."""
    feather: int = 8
    """Source pixels over which a mask's result fades."""
    region: Rect | None = None
    """Part of the picture that is answered, in source pixels; the rest is context. None = all."""
    has_mask: bool = False
    """Whether a coverage mask comes along; the answer then carries alpha."""

    @classmethod
    def from_options(
        cls,
        kind: str,
        options: Mapping[str, Any],
        region: Rect | None = None,
        has_mask: bool = False,
    ) -> UpscaleRequest:
        """Build a request from the validated rows of the options table.

        Args:
            kind: `upscale` or `enhance`.
            options: rows by name; rows that only the editors carry out are passed over.
            region: part of the picture that is answered; anything with x, y, width and height.
            has_mask: whether a mask comes along.
        Raises:
            InvalidOptions: there is no such kind, or no such wrap.
        """
        if kind not in (UPSCALE, ENHANCE):
            raise InvalidOptions(f"There is no job kind {kind!r}.", hint="Kinds: upscale, enhance.")
        names = {spec.name for spec in fields(cls)} - {"kind", "region", "has_mask"}
        values = {name: value for name, value in options.items() if name in names}
        sigma = values.get("sigma")
        if sigma is not None and sigma < 0:
            values["sigma"] = None
        if values.get("wrap", "none") not in WRAPS:
            raise InvalidOptions(
                f"wrap is {values['wrap']!r}; it has to be one of {', '.join(WRAPS)}."
            )
        if values.get("weights") and values.get("engine", AUTO) == AUTO:
            values["engine"] = "pid"  # the only engine whose weights can be named
        if region is not None:
            region = Rect(region.x, region.y, region.width, region.height)
        return cls(kind=kind, region=region, has_mask=has_mask, **values)

    @property
    def wraps_x(self) -> bool:
        """Whether the left edge continues at the right one."""
        return self.wrap in ("x", "both")

    @property
    def wraps_y(self) -> bool:
        """Whether the top edge continues at the bottom one."""
        return self.wrap in ("y", "both")

    def answered(self, width_px: int, height_px: int) -> Rect:
        """The part of a width x height picture that is answered.

        Raises:
            InvalidOptions: the region does not lie inside the picture.
        """
        region = self.region or Rect(0, 0, width_px, height_px)
        inside = (
            region.x >= 0
            and region.y >= 0
            and region.width > 0
            and region.height > 0
            and region.right <= width_px
            and region.bottom <= height_px
        )
        if not inside:
            raise InvalidOptions(
                f"The region {region.width} x {region.height} at {region.x}, {region.y} does not "
                f"lie inside the picture of {width_px} x {height_px} px."
            )
        return region

    def result_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height of the answer for a picture of that size.

        Raises:
            InvalidOptions: a side would grow by more than MAX_FACTOR, or one exact side is missing.
        """
        part = self.answered(width_px, height_px)
        if self.kind == ENHANCE:
            return part.width, part.height
        if bool(self.width) != bool(self.height):
            raise InvalidOptions(
                f"An exact size needs both sides; width is {self.width}, height is {self.height}."
            )
        if self.width:
            size = (self.width, self.height)
        elif self.longest:
            factor = self.longest / max(part.width, part.height)
            size = (_scaled(part.width, factor), _scaled(part.height, factor))
        else:
            size = (_scaled(part.width, self.scale), _scaled(part.height, self.scale))
        # One pixel of a tiny picture may round up: the factor is judged on what was asked for.
        limit = (math.ceil(part.width * MAX_FACTOR), math.ceil(part.height * MAX_FACTOR))
        if size[0] > limit[0] or size[1] > limit[1] or self.scale > MAX_FACTOR:
            raise InvalidOptions(
                f"{part.width} x {part.height} px cannot become {size[0]} x {size[1]} px: "
                f"a side may grow {MAX_FACTOR:g} times at most.",
                hint=f"Ask for {limit[0]} x {limit[1]} px or less.",
            )
        return size


def _scaled(side_px: int, factor: float) -> int:
    return max(1, math.floor(side_px * factor + 0.5))
