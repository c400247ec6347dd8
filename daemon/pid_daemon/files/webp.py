# SPDX-License-Identifier: Apache-2.0
"""WebP: 8-bit RGB and RGBA; quality 100 means lossless."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

from pid_daemon.files.picture import Decoded, Metadata, Pixels
from pid_daemon.files.pillow import blob, exif_of, first_of, opened, pixels_of

DEFAULT_QUALITY = 95


def read_webp(data: bytes) -> Decoded:
    """Decode a WebP; raises whatever the decoder raises. It has no field for the resolution."""
    image = opened(data)
    return Decoded(
        pixels_of(image),
        icc=blob(image.info, "icc_profile"),
        exif=exif_of(image.info),
        xmp=blob(image.info, "xmp"),
        notices=first_of(image),
    )


def write_webp(
    file: BinaryIO, pixels: Pixels, icc: bytes, metadata: Metadata, quality: int | None
) -> None:
    """Encode 8-bit RGB or RGBA pixels."""
    quality = DEFAULT_QUALITY if quality is None else quality
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        file,
        "WEBP",
        quality=quality,
        lossless=quality == 100,
        exact=True,  # colour under full transparency is somebody's, too
        icc_profile=icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
    )
