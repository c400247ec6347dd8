# SPDX-License-Identifier: Apache-2.0
"""How the bytes of a picture are to be read. Pixels travel interleaved, rows top to bottom,
little-endian."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InvalidImage
from .limits import MAX_PIXELS, MAX_SIDE_PX

CHANNELS = {"gray": 1, "gray-alpha": 2, "rgb": 3, "rgba": 4}
"""Samples per pixel. Alpha, where there is one, is the last sample and straight (not
premultiplied)."""
ORDERS = ("rgb", "bgr")
"""Order of the colour samples; Krita stores integer pixels as `bgr`."""
DEPTHS = {"u8": 1, "u16": 2, "f16": 2, "f32": 4}
"""Bytes per sample. Integers span 0..max; floats are nominally 0..1 and may lie outside."""
PROFILES = ("srgb", "icc")
"""The colour space's primaries and white: sRGB, or the ICC profile sent along."""
ENCODINGS = ("profile", "linear", "perceptual")
"""The tone curve: as the profile says, linear light, or the sRGB curve on the profile's
primaries."""


@dataclass(frozen=True)
class PixelFormat:
    """Size, samples and colour of a picture on the wire."""

    width: int
    """Pixels in a row."""
    height: int
    """Rows."""
    channels: str = "rgb"
    """A key of CHANNELS."""
    depth: str = "u8"
    """A key of DEPTHS."""
    order: str = "rgb"
    """One of ORDERS."""
    profile: str = "srgb"
    """One of PROFILES."""
    encoding: str = "profile"
    """One of ENCODINGS."""

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel."""
        return CHANNELS[self.channels] * DEPTHS[self.depth]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row; rows follow each other without gaps."""
        return self.width * self.pixel_bytes

    @property
    def num_bytes(self) -> int:
        """Bytes of the whole picture."""
        return self.row_bytes * self.height

    @property
    def has_alpha(self) -> bool:
        """Whether the last sample of a pixel is alpha."""
        return self.channels in ("gray-alpha", "rgba")

    def check(self) -> None:
        """Refuse what no picture of ours can be.

        Raises:
            InvalidImage: a field is not one of its choices, or a side or the area is out of range.
        """
        for name, value, choices in (
            ("channels", self.channels, CHANNELS),
            ("depth", self.depth, DEPTHS),
            ("order", self.order, ORDERS),
            ("profile", self.profile, PROFILES),
            ("encoding", self.encoding, ENCODINGS),
        ):
            if value not in choices:
                raise InvalidImage(
                    f"{name} is {value!r}; it has to be one of {', '.join(choices)}."
                )
        if not (0 < self.width <= MAX_SIDE_PX and 0 < self.height <= MAX_SIDE_PX):
            raise InvalidImage(
                f"The picture is {self.width} x {self.height} px; a side has 1 to {MAX_SIDE_PX}."
            )
        if self.width * self.height > MAX_PIXELS:
            raise InvalidImage(
                f"The picture has {self.width * self.height} pixels; {MAX_PIXELS} are taken.",
                "Send a part of it.",
            )


@dataclass(frozen=True)
class Region:
    """A rectangle inside a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int
