# SPDX-License-Identifier: Apache-2.0
"""How the samples of a picture are to be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pid_core.errors import InvalidImage

CHANNELS = {"gray": 1, "gray-alpha": 2, "rgb": 3, "rgba": 4}
"""Samples per pixel; alpha comes last and is straight."""
DEPTHS = {
    "u8": np.dtype("<u1"),
    "u16": np.dtype("<u2"),
    "f16": np.dtype("<f2"),
    "f32": np.dtype("<f4"),
}
"""Sample types. Integers span 0..max; floats are nominally 0..1 and may lie outside."""
ORDERS = ("rgb", "bgr")
ENCODINGS = ("profile", "linear", "perceptual")


@dataclass(frozen=True)
class PictureFormat:
    """Size, samples and colour of a picture in memory; rows follow each other without gaps."""

    width: int
    """Pixels in a row."""
    height: int
    """Rows."""
    channels: str = "rgb"
    """A key of CHANNELS."""
    depth: str = "u8"
    """A key of DEPTHS."""
    order: str = "rgb"
    """Order of the colour samples: `rgb` or `bgr`."""
    icc: bytes | None = None
    """ICC profile; None = sRGB."""
    encoding: str = "profile"
    """Tone curve: as the profile says, linear light, or the sRGB curve on the profile's
    primaries."""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("channels", self.channels, tuple(CHANNELS)),
            ("depth", self.depth, tuple(DEPTHS)),
            ("order", self.order, ORDERS),
            ("encoding", self.encoding, ENCODINGS),
        ):
            if value not in choices:
                raise InvalidImage(
                    f"{name} is {value!r}; it has to be one of {', '.join(choices)}."
                )
        if self.width < 1 or self.height < 1:
            raise InvalidImage(f"The picture has {self.width} x {self.height} px.")

    @property
    def num_samples(self) -> int:
        """Samples of one pixel."""
        return CHANNELS[self.channels]

    @property
    def num_colours(self) -> int:
        """Samples of one pixel without alpha: 1 or 3."""
        return 1 if self.is_gray else 3

    @property
    def num_bytes(self) -> int:
        """Bytes of the whole picture."""
        return self.width * self.height * self.num_samples * DEPTHS[self.depth].itemsize

    @property
    def has_alpha(self) -> bool:
        """Whether the last sample of a pixel is alpha."""
        return self.channels in ("gray-alpha", "rgba")

    @property
    def is_gray(self) -> bool:
        """Whether there is one colour sample."""
        return self.channels in ("gray", "gray-alpha")

    @property
    def is_float(self) -> bool:
        """Whether samples may lie outside 0..1."""
        return self.depth in ("f16", "f32")

    @property
    def with_alpha(self) -> str:
        """The channels of the same picture with alpha."""
        return "gray-alpha" if self.is_gray else "rgba"
