# SPDX-License-Identifier: Apache-2.0
"""JPEG: greyscale, RGB, and CMYK converted by its profile."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image

from pid_daemon.files.cmyk import from_cmyk
from pid_daemon.files.picture import Decoded, Metadata, Pixels
from pid_daemon.files.pillow import blob, exif_of, first_of, opened, pixels_of, resolution

DEFAULT_QUALITY = 95
"""Nobody upscales to see new JPEG blocks."""
FULL_CHROMA_FROM = 90
"""Quality from which the colour planes keep their full size."""
MAX_BLOCK_BYTES = 65_000
"""What one marker of a JPEG holds, less its header."""


def read_jpeg(data: bytes) -> Decoded:
    """Decode a JPEG; raises whatever the decoders raise."""
    image = opened(data)
    icc, notices = blob(image.info, "icc_profile"), first_of(image)
    if image.mode == "CMYK":
        image.load()
        pixels, notice = from_cmyk(np.asarray(image), icc)
        icc, notices = b"", (*notices, notice)
    else:
        pixels = pixels_of(image)
    return Decoded(
        pixels,
        icc=icc,
        exif=exif_of(image.info),
        xmp=blob(image.info, "xmp"),
        dpi=resolution(image.info),
        notices=notices,
    )


def write_jpeg(
    file: BinaryIO, pixels: Pixels, icc: bytes, metadata: Metadata, quality: int | None
) -> None:
    """Encode 8-bit grey or RGB pixels."""
    quality = DEFAULT_QUALITY if quality is None else quality
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        file,
        "JPEG",
        quality=quality,
        subsampling="4:4:4" if quality >= FULL_CHROMA_FROM else "4:2:0",
        icc_profile=icc or None,
        exif=b"Exif\x00\x00" + metadata.exif if metadata.exif else b"",
        xmp=metadata.xmp,
        **({"dpi": metadata.dpi} if metadata.dpi else {}),
    )
