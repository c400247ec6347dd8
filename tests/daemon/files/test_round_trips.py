# SPDX-License-Identifier: Apache-2.0
"""What is written is read back: samples, profile, metadata, record."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from pid_daemon import files
from pid_daemon.files.formats import FORMATS
from pid_protocol.pixels import CHANNELS, PixelFormat

from .helpers import exif_block, exif_of, noise, smooth

LOSSLESS = [
    (fmt.suffixes[0], channels, depth)
    for fmt in FORMATS
    for depth in fmt.depths
    for channels in CHANNELS
    if fmt.name in ("png", "tiff") or (fmt.name == "webp" and channels in ("rgb", "rgba"))
]
RECORD = {"engine": "compact", "prompt": 'a < b & "c" ü', "plan": {"tiles": 3}}


@pytest.mark.parametrize(("suffix", "channels", "depth"), LOSSLESS)
def test_lossless_formats_keep_every_sample(
    tmp_path: Path, suffix: str, channels: str, depth: str
) -> None:
    pixels = noise(channels, depth)
    image = PixelFormat(21, 33, channels, depth)
    path = tmp_path / f"picture{suffix}"
    notices = files.write(path, pixels.tobytes(), image, record=RECORD, quality=100)
    again = files.read(path)
    assert notices == () and again.notices == ()
    assert again.format == image
    assert np.array_equal(again.pixels, pixels)
    assert bytes(again.tobytes()) == pixels.tobytes()
    assert files.read_record(path) == RECORD


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_profile_metadata_and_record_travel(tmp_path: Path, suffix: str) -> None:
    icc = bytes(imagecodecs.cms_profile("adobergb"))
    metadata = files.Metadata(exif_block(), b"", (300.0, 150.0))
    path = tmp_path / f"picture{suffix}"
    image = PixelFormat(64, 48, "rgb", profile="icc")
    files.write(path, smooth(3), image, icc=icc, metadata=metadata, record=RECORD)
    again = files.read(path)
    assert again.icc == icc and again.format.profile == "icc"
    assert np.abs(again.pixels.astype(int) - smooth(3)).mean() < 3
    exif = exif_of(again.metadata.exif)
    assert (exif[271], exif[33432], exif[274]) == ("Maker", "somebody", 1)
    nested = exif.get_ifd(0x8769)
    assert (nested[0xA002], nested[0xA003]) == (64, 48)
    assert nested[0x9003] == "2026:01:02 03:04:05"
    assert exif.get_ifd(0x8825)[1] == "N"
    if suffix != ".webp":  # has no field for it
        assert again.metadata.dpi == pytest.approx((300, 150), rel=1e-4)
    assert files.read_record(path) == RECORD


def test_gray_profiles_travel_with_gray_pixels(tmp_path: Path) -> None:
    rgb = bytes(imagecodecs.cms_profile("srgb"))
    gray = bytes(imagecodecs.cms_profile("gray", gamma=2.2))
    path = tmp_path / "gray.png"
    files.write(path, smooth(1), PixelFormat(64, 48, "gray"), icc=gray)
    assert files.read(path).icc == gray
    files.write(path, smooth(1), PixelFormat(64, 48, "gray"), icc=rgb)
    again = files.read(path)
    assert again.icc == b"" and again.format.profile == "srgb"
    assert "profile is for RGB" in again.notices[0]


def test_a_record_replaces_the_older_one_and_leaves_the_packet_alone(tmp_path: Path) -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22'
        b'-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="6" dc:title="Boat"/></rdf:RDF></x:xmpmeta>'
    )
    path = tmp_path / "picture.png"
    image = PixelFormat(64, 48)
    files.write(path, smooth(3), image, metadata=files.Metadata(xmp=packet), record={"run": 1})
    first = files.read(path)
    assert b'dc:title="Boat"' in first.metadata.xmp
    assert b'tiff:Orientation="1"' in first.metadata.xmp
    files.write(path, smooth(3), image, metadata=first.metadata, record={"run": 2})
    assert files.read_record(path) == {"run": 2}
    assert files.read(path).metadata.xmp.count(b"Record>") == 2


def test_bgr_samples_are_put_in_order(tmp_path: Path) -> None:
    pixels = noise("rgba", "u8")
    path = tmp_path / "picture.png"
    image = PixelFormat(21, 33, "rgba", order="bgr")
    files.write(path, pixels[..., [2, 1, 0, 3]].tobytes(), image)
    assert np.array_equal(files.read(path).pixels, pixels)


@pytest.mark.parametrize(
    ("suffix", "channels", "depth", "said"),
    [
        (".jpg", "rgba", "u8", "no transparency"),
        (".jpg", "gray-alpha", "u16", "8 bits"),
        (".webp", "gray", "u8", "no greyscale"),
        (".webp", "rgb", "u16", "8 bits"),
        (".png", "rgb", "f32", "16 bits"),
        (".jpg", "rgb", "f16", "no floating point"),
    ],
)
def test_what_a_format_cannot_hold_is_said(
    tmp_path: Path, suffix: str, channels: str, depth: str, said: str
) -> None:
    path = tmp_path / f"picture{suffix}"
    notices = files.write(path, noise(channels, depth), PixelFormat(21, 33, channels, depth))
    assert any(said in notice for notice in notices)
    files.read(path)


def test_depth_is_reduced_by_rounding(tmp_path: Path) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / "ramp.webp"
    files.write(path, np.stack([ramp] * 3, -1), PixelFormat(256, 256, "rgb", "u16"), quality=100)
    expected = np.rint(ramp / 257.0).astype(np.uint8)
    assert np.array_equal(files.read(path).pixels[..., 0], expected)


def test_transparent_pixels_lie_on_white_in_a_jpeg(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:8, :, 3] = 255
    path = tmp_path / "picture.jpg"
    files.write(path, pixels, PixelFormat(16, 16, "rgba"))
    again = files.read(path).pixels
    assert again[:7].max() <= 4 and again[9:].min() >= 251


def test_float_values_beyond_one_survive_in_tiff(tmp_path: Path) -> None:
    pixels = np.array([[[-0.5, 1.0, 17.25]]], np.float32)
    path = tmp_path / "hdr.tif"
    files.write(path, pixels, PixelFormat(1, 1, "rgb", "f32"))
    assert np.array_equal(files.read(path).pixels, pixels)
