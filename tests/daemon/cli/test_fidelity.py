# SPDX-License-Identifier: Apache-2.0
"""Files in, files out, through the daemon and the built-in engine: nothing lost, nothing bent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pid_daemon import files
from pid_protocol.pixels import PixelFormat

from ..files.helpers import cmyk_profile, exif_block, exif_of
from .conftest import Command

D50, D65 = (0.3457, 0.3585), (0.3127, 0.3290)
PROFILES = {
    "adobergb": bytes(imagecodecs.cms_profile("adobergb")),
    "display-p3": bytes(
        imagecodecs.cms_profile(
            "rgb", whitepoint=D65, primaries=(0.68, 0.32, 0.265, 0.69, 0.15, 0.06), gamma=2.2
        )
    ),
    "prophoto": bytes(
        imagecodecs.cms_profile(
            "rgb",
            whitepoint=D50,
            primaries=(0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001),
            gamma=1.8,
        )
    ),
}
"""The wide spaces that people work in."""
COMPACT = ("--engine", "compact")


def upscaled(pid: Command, source: Path, *options: str) -> files.SourceImage:
    """The result of a file, as a file."""
    target = source.with_name(f"result{source.suffix}")
    pid.ok("upscale", source, *COMPACT, *options, "-o", target)
    return files.read(target)


def quarters(height: int = 48, width: int = 48) -> NDArray[np.float32]:
    """Four plain colours that lie inside every profile."""
    picture = np.empty((height, width, 3), np.float32)
    picture[: height // 2, : width // 2] = (0.7, 0.3, 0.2)
    picture[: height // 2, width // 2 :] = (0.2, 0.6, 0.3)
    picture[height // 2 :, : width // 2] = (0.25, 0.3, 0.7)
    picture[height // 2 :, width // 2 :] = (0.5, 0.5, 0.5)
    return picture


def centres(pixels: NDArray[Any]) -> NDArray[Any]:
    """The middle of each quarter."""
    height, width = pixels.shape[:2]
    return pixels[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]


def test_a_16_bit_ramp_keeps_its_levels(pid: Command, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32 * 64).reshape(32, 64)
    source = tmp_path / "ramp.png"
    pixels = np.stack([np.rint(ramp)] * 3, axis=-1).astype(np.uint16)
    files.write(source, pixels, PixelFormat(64, 32, "rgb", "u16"))
    result = upscaled(pid, source)
    assert result.format.depth == "u16"
    assert np.unique(result.pixels[..., 1]).size >= 4096


def test_values_beyond_white_survive_in_float(pid: Command, tmp_path: Path) -> None:
    source = tmp_path / "hdr.tif"
    pixels = quarters() * np.float32(4)
    files.write(source, pixels, PixelFormat(48, 48, "rgb", "f32"))
    result = upscaled(pid, source)
    assert result.format.depth == "f32"
    assert np.allclose(centres(result.pixels), centres(pixels), rtol=0.03)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_wide_profiles_stay_and_colours_stay_right(
    pid: Command, tmp_path: Path, profile: str, suffix: str
) -> None:
    icc = PROFILES[profile]
    source = tmp_path / f"wide{suffix}"
    pixels = np.rint(quarters() * 65535).astype(np.uint16)
    files.write(source, pixels, PixelFormat(48, 48, "rgb", "u16", profile="icc"), icc=icc)
    result = upscaled(pid, source, "--scale", "2")
    assert result.icc == icc
    difference = centres(result.pixels).astype(int) - centres(pixels)
    assert np.abs(difference).max() <= 65535 * 0.01


@pytest.mark.parametrize(("channels", "suffix"), [("gray", ".jpg"), ("gray-alpha", ".png")])
def test_greyscale_stays_greyscale(
    pid: Command, tmp_path: Path, channels: str, suffix: str
) -> None:
    gray = np.rint(quarters()[..., 0] * 255).astype(np.uint8)
    alpha = np.full_like(gray, 255)
    alpha[:24] = 0
    pixels = gray if channels == "gray" else np.stack([gray, alpha], axis=-1)
    source = tmp_path / f"gray{suffix}"
    files.write(source, pixels, PixelFormat(48, 48, channels))
    result = upscaled(pid, source)
    assert result.format.channels == channels
    last = result.pixels if channels == "gray" else result.pixels[..., 1]
    assert (
        np.abs(centres(last).astype(int) - centres(pixels.reshape(48, 48, -1)[..., -1])).max() <= 3
    )


def test_a_photograph_from_a_camera(pid: Command, tmp_path: Path) -> None:
    """Stored on its side, with EXIF, a thumbnail and a resolution."""
    upright = np.rint(quarters(48, 64) * 255).astype(np.uint8)
    source = tmp_path / "camera.jpg"
    Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1))).save(
        source,
        quality=95,
        exif=b"Exif\0\0" + exif_block(6, thumbnail=True),
        dpi=(240, 240),
        subsampling=0,
    )
    result = upscaled(pid, source)
    assert (result.format.width, result.format.height) == (256, 192)
    assert np.abs(centres(result.pixels).astype(int) - centres(upright)).max() <= 6
    exif = exif_of(result.metadata.exif)
    assert (exif[271], exif[274]) == ("Maker", 1)
    assert exif.get_ifd(0x8769)[0xA002] == 256 and exif.get_ifd(0x8825)[1] == "N"
    assert b"THUMBNAIL" not in result.metadata.exif
    assert result.metadata.dpi == (240, 240)


def test_ink_is_converted_and_said(pid: Command, tmp_path: Path) -> None:
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:16, :, 3] = 255
    source = tmp_path / "ink.jpg"
    Image.fromarray(ink, "CMYK").save(source, quality=95, icc_profile=cmyk_profile(True))
    done = pid("upscale", source, *COMPACT, "-o", tmp_path / "paper.jpg")
    assert done.returncode == 0 and "CMYK was converted" in done.stderr
    result = files.read(tmp_path / "paper.jpg")
    assert result.format.channels == "rgb"
    assert result.pixels[100, 64].min() > 235 and result.pixels[20, 64].max() < 40


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (("--scale", "1"), (37, 23)),
        (("--scale", "2.5"), (93, 58)),
        (("--scale", "8"), (296, 184)),
        (("--longest", "100"), (100, 62)),
        (("--width", "50", "--height", "51"), (50, 51)),
    ],
)
def test_every_size_is_exact(
    pid: Command, tmp_path: Path, options: tuple[str, ...], size: tuple[int, int]
) -> None:
    source = tmp_path / "odd.webp"
    files.write(source, np.full((23, 37, 3), 90, np.uint8), PixelFormat(37, 23), quality=100)
    result = upscaled(pid, source, *options)
    assert (result.format.width, result.format.height) == size
    assert np.abs(result.pixels.astype(int) - 90).max() <= 2
