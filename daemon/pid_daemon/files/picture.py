# SPDX-License-Identifier: Apache-2.0
"""What a picture file holds, once it has been read, and the errors of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pid_protocol.errors import InvalidImage, PidError
from pid_protocol.pixels import CHANNELS, PixelFormat

Pixels = NDArray[Any]
"""[H, W] or [H, W, C] samples of one of the depths in DEPTH_OF."""

DEPTH_OF = {"uint8": "u8", "uint16": "u16", "float16": "f16", "float32": "f32"}
"""Wire depth by numpy's name of the sample type."""
DTYPE_OF = {depth: np.dtype(name) for name, depth in DEPTH_OF.items()}
"""Numpy's sample type by wire depth."""
CHANNELS_OF = {count: name for name, count in CHANNELS.items()}
"""Wire channels by samples per pixel."""


class UnwritableOutput(PidError):
    """A result cannot be written where it should go."""

    code = "unwritable_output"


@dataclass(frozen=True)
class Metadata:
    """What travels from the source file to the result beside the pixels."""

    exif: bytes = b""
    """TIFF-structured block without the `Exif` prefix; upright, no thumbnail. Empty = none."""
    xmp: bytes = b""
    """XMP packet in UTF-8. Empty = none."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down."""


@dataclass(frozen=True)
class Decoded:
    """What a format's reader found, before orientation and checks that all formats share."""

    pixels: Pixels
    """[H, W] or [H, W, C], as stored."""
    icc: bytes = b""
    """ICC profile; empty = none."""
    exif: bytes = b""
    """As in Metadata, but not cleaned yet."""
    xmp: bytes = b""
    """As in Metadata."""
    dpi: tuple[float, float] | None = None
    """As in Metadata."""
    notices: tuple[str, ...] = ()
    """Sentences about what could not be taken as it is."""


@dataclass(frozen=True)
class SourceImage:
    """A picture ready for the wire."""

    pixels: Pixels
    """[H, W] or [H, W, C], C-contiguous, upright, straight alpha."""
    format: PixelFormat
    """How the samples are to be read."""
    container: str
    """Name of the file format that it came from."""
    icc: bytes = b""
    """ICC profile, byte for byte as in the file; empty = none."""
    metadata: Metadata = field(default_factory=Metadata)
    """What the result should carry on."""
    notices: tuple[str, ...] = ()
    """Sentences a person should read."""

    def tobytes(self) -> memoryview:
        """The samples in wire order, without a copy."""
        return self.pixels.data.cast("B")


def format_of(pixels: Pixels, *, has_icc: bool) -> PixelFormat:
    """Describe an array for the wire.

    Raises:
        InvalidImage: a number of channels or a sample type that the wire does not have.
    """
    height, width = pixels.shape[:2]
    count = 1 if pixels.ndim == 2 else int(pixels.shape[2])
    depth = DEPTH_OF.get(pixels.dtype.name)
    if depth is None or count not in CHANNELS_OF:
        raise InvalidImage(f"Pixels of {count} x {pixels.dtype.name} cannot be taken.")
    return PixelFormat(
        width, height, CHANNELS_OF[count], depth, profile="icc" if has_icc else "srgb"
    )
