# SPDX-License-Identifier: Apache-2.0
"""Pictures for the editors: a photograph, and patterns in which every pixel says where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image


def make(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    photograph = skimage.data.astronaut()[:384, :320]
    Image.fromarray(photograph).save(folder / "photo.png", dpi=(144, 144))
    large = Image.fromarray(np.tile(photograph, (3, 4, 1)))  # long enough to be interrupted
    large.save(folder / "large.png", compress_level=1)
    large = Image.fromarray(photograph).resize((640, 768), Image.Resampling.BICUBIC)
    large.save(folder / "large.png")
    Image.fromarray(pattern(64, 48)).save(folder / "pattern.png")
    Image.fromarray(pattern(64, 48)[..., 0]).save(folder / "gray.png")
    Image.fromarray(pattern(1, 1)).save(folder / "1x1.png")
    Image.fromarray(pattern(7, 5)).save(folder / "7x5.png")
    Image.fromarray(pattern(5000, 300)).save(folder / "5000x300.png", compress_level=1)
    colours = Image.fromarray(pattern(64, 48)[..., :3])
    colours.convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(folder / "indexed.png")
    Image.fromarray(ramp()).save(folder / "ramp16.png")


def pattern(width: int, height: int, seed: int = 0) -> np.ndarray:
    """RGBA; a shift, a swap of channels or a lost alpha shows."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.empty((height, width, 4), np.uint8)
    picture[..., 0] = (x + seed) & 255
    picture[..., 1] = (y + 2 * seed) & 255
    picture[..., 2] = ((x // 256) * 16 + (y // 256)) & 255
    picture[..., 3] = 255 - ((x ^ y) & 31) * 4
    return picture


def ramp() -> np.ndarray:
    """Grey, 16 bits: a smooth slope with 32768 levels."""
    y, x = np.mgrid[0:64, 0:512]
    return ((x * 64 + y) * 2).astype(np.uint16)
