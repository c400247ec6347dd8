# SPDX-License-Identifier: Apache-2.0
"""Opening a file with Pillow: what PNG, JPEG and WebP have in common."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np
import psutil
from PIL import Image

from pid_daemon.files.picture import Pixels
from pid_protocol.errors import InvalidImage
from pid_protocol.limits import MAX_PIXELS, MAX_SIDE_PX


def opened(source: bytes | BinaryIO) -> Image.Image:
    """Open a picture without decoding the pixels yet; sizes are checked."""
    # Our own limits, which know the free memory, replace Pillow's fixed one of 89 megapixels.
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    check_size(image.width, image.height, len(image.getbands()))
    return image


def check_size(width: int, height: int, pixel_bytes: int) -> None:
    """Refuse a picture that cannot be held, before anything is allocated for it.

    Raises:
        InvalidImage: a side or the area is out of range, or the free memory is too small.
    """
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX) or width * height > MAX_PIXELS:
        raise InvalidImage(
            f"It claims {width} x {height} px; at most {MAX_SIDE_PX} px a side and "
            f"{MAX_PIXELS >> 20} megapixels are taken."
        )
    needed, free = width * height * pixel_bytes, int(psutil.virtual_memory().available)
    if needed > free // 2:
        raise InvalidImage(
            f"Its {width} x {height} px need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free."
        )


def pixels_of(image: Image.Image) -> Pixels:
    """Decode into grey, grey with alpha, RGB or RGBA of 8 bits (palette and 1-bit become these)."""
    mode = image.mode
    transparent = "transparency" in image.info or mode in ("PA", "LA", "RGBA", "La", "RGBa")
    if mode in ("1", "L", "LA", "La"):
        wanted = "LA" if transparent else "L"
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        wanted = "RGBA" if transparent else "RGB"
    else:
        raise InvalidImage(f"Its pixels are of the kind {mode}, which cannot be taken.")
    image.load()
    if mode == "1" and wanted == "LA":
        image = image.convert("L")
    return np.asarray(image if mode == wanted else image.convert(wanted))


def resolution(info: dict[str | tuple[int, int], Any]) -> tuple[float, float] | None:
    """Pixels per inch as the file says; None when it does not, or says nonsense."""
    try:
        across, down = (float(value) for value in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def blob(info: dict[str | tuple[int, int], Any], key: str) -> bytes:
    """A bytes entry of the file's information, or nothing."""
    value = info.get(key)
    return value if isinstance(value, bytes) else b""


def exif_of(info: dict[str | tuple[int, int], Any]) -> bytes:
    """The EXIF block without its prefix (some programs write the prefix twice)."""
    return blob(info, "exif").removeprefix(b"Exif\x00\x00").removeprefix(b"Exif\x00\x00")


def first_of(image: Image.Image) -> tuple[str, ...]:
    """The notice about further frames, when there are any."""
    frames = int(getattr(image, "n_frames", 1))
    if frames <= 1:
        return ()
    return (f"It holds {frames} pictures; the first one is taken.",)
