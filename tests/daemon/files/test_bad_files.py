# SPDX-License-Identifier: Apache-2.0
"""Whatever is no picture, or no whole one, is refused in one sentence that names it."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pid_daemon import files
from pid_daemon.files.picture import UnwritableOutput
from pid_protocol.errors import InvalidImage
from pid_protocol.pixels import PixelFormat

from .helpers import noise, smooth


def refused(path: Path) -> str:
    with pytest.raises(InvalidImage) as caught:
        files.read(path)
    message = caught.value.message
    assert path.name in message and "\n" not in message and message.endswith(".")
    assert files.read_record(path) is None
    return message


def test_what_is_no_file_or_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "animation.png").write_bytes(b"GIF89a" + bytes(40))
    assert "There is no file" in refused(tmp_path / "missing.png")
    assert "is a folder" in refused(tmp_path)
    assert "is empty" in refused(tmp_path / "empty.png")
    assert "not a picture" in refused(tmp_path / "text.png")
    assert "a GIF picture" in refused(tmp_path / "animation.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_files(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"picture{suffix}"
    files.write(path, noise("rgb", "u8", 200, 200), PixelFormat(200, 200))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path)


def test_a_cut_off_deep_png(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    files.write(path, noise("rgb", "u16", 90, 90), PixelFormat(90, 90, "rgb", "u16"))
    path.write_bytes(path.read_bytes()[:-3000])
    refused(path)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_random_damage_ends_in_a_picture_or_a_sentence(
    tmp_path: Path, suffix: str, seed: int
) -> None:
    path = tmp_path / f"picture{suffix}"
    files.write(path, smooth(3), PixelFormat(64, 48), record={"engine": "compact"})
    whole = path.read_bytes()
    rng = np.random.default_rng(seed)
    for _ in range(25):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 6):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            files.read(path)
        except InvalidImage as error:
            assert path.name in error.message
        files.read_record(path)


def _png_that_claims(width: int, height: int, depth: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        )

    head = struct.pack(">LLBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [8, 16])
def test_decompression_bombs_are_refused_before_they_are_decoded(
    tmp_path: Path, depth: int
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_that_claims(65_000, 65_000, depth))
    assert "65000 x 65000" in refused(path)
    path.write_bytes(_png_that_claims(70_000, 10, depth))
    assert "65536" in refused(path)


def test_what_the_free_memory_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 10_000

    path = tmp_path / "large.png"
    Image.fromarray(smooth(3)).save(path)
    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert "are free" in refused(path)


def test_sample_types_without_a_place_on_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "signed.tif"
    tifffile.imwrite(path, noise("gray", "u8").astype(np.int16))
    assert "int16" in refused(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.touch(mode=0)
    assert "Permission denied" in refused(path)


def test_nothing_half_written_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    files.write(path, smooth(3), PixelFormat(64, 48))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnwritableOutput, match="No space left"):
        files.write(path, smooth(3)[::-1], PixelFormat(64, 48))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_results_that_a_format_cannot_hold(tmp_path: Path) -> None:
    strip = np.zeros((1, 20_000, 3), np.uint8)
    with pytest.raises(UnwritableOutput, match="16383"):
        files.write(tmp_path / "strip.webp", strip, PixelFormat(20_000, 1))
    with pytest.raises(InvalidImage, match="file format"):
        files.write(tmp_path / "strip.gif", strip, PixelFormat(20_000, 1))
    assert list(tmp_path.iterdir()) == []
