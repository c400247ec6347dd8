# SPDX-License-Identifier: Apache-2.0
"""Pictures and blocks of bytes that the tests of files are made of."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pid_protocol.pixels import CHANNELS

DTYPES = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}


def noise(channels: str, depth: str, height: int = 33, width: int = 21) -> NDArray[Any]:
    """Random samples of a format: nothing in them survives by luck."""
    rng = np.random.default_rng(7)
    count = CHANNELS[channels]
    shape = (height, width) if count == 1 else (height, width, count)
    dtype = DTYPES[depth]
    if depth.startswith("f"):
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(channels: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A gradient that lossy formats keep well."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height), 255 - x]
    picture = np.stack(planes[:channels], axis=-1).astype(np.uint8)
    return picture[..., 0] if channels == 1 else picture


def exif_block(orientation: int = 1, *, thumbnail: bool = False) -> bytes:
    """An EXIF block as a camera writes it, without the prefix."""
    exif = Image.Exif()
    exif[271] = "Maker"
    exif[274] = orientation
    exif[33432] = "somebody"
    nested = exif.get_ifd(0x8769)
    nested[0x9003] = "2026:01:02 03:04:05"
    nested[0xA002] = 640
    nested[0xA003] = 480
    exif.get_ifd(0x8825)[1] = "N"
    block = exif.tobytes().removeprefix(b"Exif\x00\x00")
    return _with_thumbnail(block) if thumbnail else block


def _with_thumbnail(block: bytes) -> bytes:
    """Link a second directory that points to a JPEG at the end."""
    endian = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack_from(endian + "L", block, 4)
    (count,) = struct.unpack_from(endian + "H", block, first)
    link = first + 2 + 12 * count
    block += b"\x00" * (len(block) % 2)
    second, picture = len(block), b"\xff\xd8THUMBNAIL\xff\xd9"
    start = second + 2 + 24 + 4
    directory = struct.pack(
        endian + "HHHLLHHLLL", 2, 0x201, 4, 1, start, 0x202, 4, 1, len(picture), 0
    )
    linked = bytearray(block)
    struct.pack_into(endian + "L", linked, link, second)
    return bytes(linked) + directory + picture


def exif_of(block: bytes) -> Image.Exif:
    """Read a block by Pillow."""
    exif = Image.Exif()
    exif.load(block)
    return exif


def cmyk_profile(swap: bool) -> bytes:
    """A tiny CMYK profile: Lab from a 2x2x2x2 table that says light for no ink and dark for ink.

    Args:
        swap: let the black ink alone decide, so that a conversion that ignores the profile shows.
    """
    table = b""
    for index in range(16):
        cyan, magenta, yellow, black = ((index >> shift) & 1 for shift in (3, 2, 1, 0))
        light = 1 - black if swap else (1 - black) * (3 - cyan - magenta - yellow) / 3
        table += struct.pack(">BBB", round(light * 255), 128, 128)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    to_lab = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    text = b"desc\0\0\0\0" + struct.pack(">L", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"desc", text), (b"wtpt", white), (b"A2B0", to_lab), (b"A2B1", to_lab)]
    directory, body = struct.pack(">L", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += b"\0" * (-len(data) % 4)
        directory += name + struct.pack(">LL", start + len(body), len(data))
        body += data
    head = struct.pack(">L4sL4s4s4s", 0, b"\0\0\0\0", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    head = head.ljust(128, b"\0")
    profile = head + directory + body
    return struct.pack(">L", len(profile)) + profile[4:]
