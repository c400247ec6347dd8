# SPDX-License-Identifier: Apache-2.0
"""Files as other programs write them: orientation, palettes, ink, odd samples, several pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pid_daemon import files
from pid_daemon.files import exif
from pid_protocol.pixels import PixelFormat

from .helpers import cmyk_profile, exif_block, exif_of, noise, smooth

UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}
"""How a file of each orientation stores the picture."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_upright_once(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "picture.png"
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    image.save(path, exif=b"Exif\0\0" + exif_block(orientation), dpi=(100, 200))
    read = files.read(path)
    assert np.array_equal(read.pixels, UPRIGHT)
    assert exif_of(read.metadata.exif)[274] == 1
    expected = (200, 100) if orientation >= 5 else (100, 200)
    assert read.metadata.dpi == pytest.approx(expected, rel=1e-3)


def test_the_orientation_of_a_tiff_counts(tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, np.ascontiguousarray(STORED[6]), extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(files.read(path).pixels, UPRIGHT)


def test_the_thumbnail_is_dropped_and_the_rest_is_kept() -> None:
    plain, with_thumbnail = exif_block(), exif_block(thumbnail=True)
    cleaned, orientation = exif.upright(with_thumbnail)
    assert orientation == 1
    assert b"THUMBNAIL" not in cleaned
    assert exif_of(cleaned).get_ifd(1) == {}
    assert cleaned[: len(plain) - 8] == plain[: len(plain) - 8]


@pytest.mark.parametrize("cut", [4, 9, 20, 60])
def test_a_broken_exif_block_costs_nothing_but_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "picture.webp"
    Image.fromarray(smooth(3)).save(path, exif=exif_block()[:cut], lossless=True)
    read = files.read(path)
    assert read.metadata.exif == b"" or len(read.metadata.exif) == cut
    files.write(tmp_path / "again.jpg", read.pixels, read.format, metadata=read.metadata)


def test_palettes_become_rgb_with_alpha_where_there_is_some(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth(3)).quantize(16)
    picture.save(tmp_path / "opaque.png")
    picture.save(tmp_path / "clear.png", transparency=3)
    opaque, clear = files.read(tmp_path / "opaque.png"), files.read(tmp_path / "clear.png")
    assert opaque.format.channels == "rgb"
    assert np.array_equal(opaque.pixels, np.asarray(picture.convert("RGB")))
    assert clear.format.channels == "rgba"
    assert np.array_equal(clear.pixels[..., 3] == 0, np.asarray(picture) == 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_one_bit_becomes_gray(tmp_path: Path, suffix: str) -> None:
    bits = np.random.default_rng(1).random((9, 13)) > 0.5
    path = tmp_path / f"bits{suffix}"
    Image.fromarray(bits).save(path)
    read = files.read(path)
    assert read.format == PixelFormat(13, 9, "gray")
    assert np.array_equal(read.pixels, bits.astype(np.uint8) * 255)


def test_a_transparent_gray_level_becomes_alpha(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(smooth(1)).save(path, transparency=40)
    read = files.read(path)
    assert read.format.channels == "gray-alpha"
    assert np.array_equal(read.pixels[..., 1] == 0, smooth(1) == 40)


@pytest.mark.parametrize("swap", [False, True])
def test_ink_is_converted_by_its_profile(tmp_path: Path, swap: bool) -> None:
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:8, :, :3] = 255
    path = tmp_path / "ink.jpg"
    Image.fromarray(ink, "CMYK").save(path, quality=100, icc_profile=cmyk_profile(swap))
    read = files.read(path)
    assert read.format.channels == "rgb" and read.icc == b""
    assert "by the file's own profile" in read.notices[0]
    assert read.pixels[12, 8].min() > 240
    assert (read.pixels[4, 8].min() > 240) == swap


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ink_without_a_profile_is_converted_plainly(tmp_path: Path, dtype: Any) -> None:
    top = np.iinfo(dtype).max
    ink = np.zeros((8, 8, 4), dtype)
    ink[:4, :, 0] = top
    path = tmp_path / "ink.tif"
    tifffile.imwrite(path, ink, photometric="separated")
    read = files.read(path)
    assert read.pixels[0, 0].tolist() == [0, top, top]
    assert read.pixels[7, 0].tolist() == [top, top, top]
    assert "plain formula" in read.notices[0]


@pytest.mark.parametrize(
    ("samples", "arguments", "depth", "notice"),
    [
        (noise("gray", "u8"), {"photometric": "miniswhite"}, "u8", ""),
        (noise("rgb", "u16"), {"photometric": "rgb", "planarconfig": "separate"}, "u16", ""),
        (noise("rgb", "f32").astype(np.float64), {"photometric": "rgb"}, "f32", "64-bit"),
        (noise("gray", "u16").astype(np.uint32) << 16, {}, "u16", "32-bit"),
        (noise("rgb", "u8"), {"photometric": "rgb", "byteorder": ">"}, "u8", ""),
        (noise("rgb", "u16"), {"photometric": "rgb", "byteorder": ">"}, "u16", ""),
        (noise("rgb", "u8"), {"photometric": "rgb", "tile": (16, 16)}, "u8", ""),
    ],
)
def test_tiffs_of_many_kinds(
    tmp_path: Path, samples: Any, arguments: dict[str, Any], depth: str, notice: str
) -> None:
    path = tmp_path / "picture.tif"
    if arguments.get("planarconfig") == "separate":
        tifffile.imwrite(path, np.moveaxis(samples, -1, 0), **arguments)
    else:
        tifffile.imwrite(path, samples, **arguments)
    read = files.read(path)
    assert read.format.depth == depth
    assert notice in " ".join(read.notices)
    expected = {"f32": samples.astype(np.float32)}.get(depth, samples)
    if arguments.get("photometric") == "miniswhite":
        expected = 255 - samples
    if samples.dtype == np.uint32:
        expected = (samples >> 16).astype(np.uint16)
    assert np.array_equal(read.pixels, expected)


def test_associated_alpha_is_made_straight(tmp_path: Path) -> None:
    pixels = np.array([[[100, 50, 0, 128], [9, 9, 9, 0]]], np.uint8)
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["assocalpha"])
    assert files.read(path).pixels.tolist() == [[[199, 100, 0, 128], [0, 0, 0, 0]]]


def test_further_pages_and_frames_are_said(tmp_path: Path) -> None:
    pages = [Image.fromarray(smooth(3)), Image.fromarray(smooth(3)[::-1])]
    for name in ("pages.tif", "frames.webp", "frames.png"):
        options = {} if name.endswith("tif") else {"lossless": True}
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
        read = files.read(tmp_path / name)
        assert "holds 2 p" in read.notices[0]
        assert np.array_equal(read.pixels, smooth(3))
