# SPDX-License-Identifier: Apache-2.0
"""What of a layer is sent and answered, and whether the answer fits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pid_protocol.errors import RemoteProtocolError
from pid_protocol.pixels import PixelFormat, Region

from .editor import Placed

SAME_SIZE = "same-size"
"""The placement whose result has the source's own size."""


@dataclass(frozen=True)
class Cut:
    """The part of a layer that is sent, and the part of it that is answered."""

    crop: Region
    """What is read, in the layer's pixels."""
    region: Region | None
    """What is answered, inside the crop; None = all of it."""
    is_masked: bool
    """Whether the selection's coverage is sent along."""

    @property
    def answered(self) -> Region:
        """What is answered, in the layer's pixels."""
        if self.region is None:
            return self.crop
        part = self.region
        return Region(self.crop.x + part.x, self.crop.y + part.y, part.width, part.height)


def cut_for(image: PixelFormat, selection: Region | None, padding: int, feather: int) -> Cut:
    """Decide what of a layer is sent for a selection.

    Args:
        image: the layer's size.
        selection: bounds in the layer's pixels; None = the whole layer.
        padding: pixels of context around what is answered.
        feather: pixels over which the result fades, beyond the selection's bounds.
    """
    whole = Region(0, 0, image.width, image.height)
    if selection is None:
        return Cut(whole, None, False)
    answered = _grown(selection, feather, whole)
    crop = _grown(answered, padding, whole)
    inside = Region(answered.x - crop.x, answered.y - crop.y, answered.width, answered.height)
    return Cut(crop, inside, True)


def check_size(placed: Placed, placement: str, options: Mapping[str, Any]) -> None:
    """Refuse a result whose size is not what was asked for.

    Raises:
        RemoteProtocolError: with both sizes.
    """
    part = placed.region or Region(0, 0, placed.source.image.width, placed.source.image.height)
    made = placed.finished.image
    if placement == SAME_SIZE:
        expected = (float(part.width), float(part.height))
    elif options.get("width"):
        expected = (float(options["width"]), float(options["height"]))
    elif options.get("longest"):
        factor = options["longest"] / max(part.width, part.height)
        expected = (part.width * factor, part.height * factor)
    else:
        expected = (part.width * options["scale"], part.height * options["scale"])
    if abs(made.width - expected[0]) > 1 or abs(made.height - expected[1]) > 1:
        raise RemoteProtocolError(
            f"The daemon answered with {made.width} x {made.height} px; "
            f"{expected[0]:.0f} x {expected[1]:.0f} was asked for."
        )


def _grown(region: Region, by_px: int, limit: Region) -> Region:
    x, y = max(limit.x, region.x - by_px), max(limit.y, region.y - by_px)
    right = min(limit.x + limit.width, region.x + region.width + by_px)
    bottom = min(limit.y + limit.height, region.y + region.height + by_px)
    return Region(x, y, right - x, bottom - y)
