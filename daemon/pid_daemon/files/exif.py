# SPDX-License-Identifier: Apache-2.0
"""Editing an EXIF block in place.

The block is not taken apart and built anew: maker notes hold offsets into it that nobody knows.
Only the values that an upscale makes wrong are overwritten, and the thumbnail, which would show the
old picture, is cut off.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION, EXIF_IFD = 0x0112, 0x8769
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
IMAGE_WIDTH, IMAGE_HEIGHT = 0x0100, 0x0101
THUMBNAIL_OFFSET, THUMBNAIL_BYTES = 0x0201, 0x0202
_FORMATS = {3: "H", 4: "L"}
"""struct letters of the integer types that sizes and the orientation come in."""


class BrokenExif(ValueError):
    """The block's structure makes no sense."""


@dataclass(frozen=True)
class _Entry:
    """One tag of a directory."""

    tag: int
    type: int
    count: int
    position: int
    """Where the four bytes of the value, or its offset, lie."""


class _Block:
    """A mutable EXIF block."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        if data[:4] not in (b"II\x2a\x00", b"MM\x00\x2a"):
            raise BrokenExif("no TIFF header")
        self.endian = "<" if data[:2] == b"II" else ">"

    def number(self, letter: str, position: int) -> int:
        try:
            return int(struct.unpack_from(self.endian + letter, self.data, position)[0])
        except struct.error:
            raise BrokenExif(f"offset {position} lies outside the block") from None

    def put(self, letter: str, position: int, value: int) -> None:
        struct.pack_into(self.endian + letter, self.data, position, value)

    def entries(self, directory: int) -> Iterator[_Entry]:
        for index in range(self.number("H", directory)):
            at = directory + 2 + 12 * index
            yield _Entry(
                self.number("H", at), self.number("H", at + 2), self.number("L", at + 4), at + 8
            )

    def link(self, directory: int) -> int:
        """Where the offset of the next directory is written."""
        return directory + 2 + 12 * self.number("H", directory)

    def find(self, directory: int, tag: int) -> _Entry | None:
        return next((e for e in self.entries(directory) if e.tag == tag), None)

    def value(self, entry: _Entry | None) -> int:
        if entry is None or entry.type not in _FORMATS or entry.count != 1:
            return 0
        return self.number(_FORMATS[entry.type], entry.position)

    def replace(self, directory: int, tag: int, value: int) -> None:
        """Overwrite a tag that is there; a value that its type cannot hold becomes a LONG."""
        entry = self.find(directory, tag)
        if entry is None or entry.type not in _FORMATS or entry.count != 1:
            return
        self.put("H", entry.position - 6, 4)
        self.put("L", entry.position, value)


def upright(exif: bytes) -> tuple[bytes, int]:
    """Read the orientation, and return the block with orientation 1 and without its thumbnail.

    Returns:
        The cleaned block and the orientation, 1 to 8 (1 when there is none or it makes no sense).
    Raises:
        BrokenExif: the block cannot be followed.
    """
    block = _Block(exif)
    first = block.number("L", 4)
    entry = block.find(first, ORIENTATION)
    orientation = block.value(entry)
    if entry is not None:
        block.put("H", entry.position - 6, 3)
        block.put("L", entry.position - 4, 1)
        block.put("L", entry.position, 0)
        block.put("H", entry.position, 1)
    _drop_thumbnail(block, first)
    return bytes(block.data), orientation if 1 <= orientation <= 8 else 1


def with_size(exif: bytes, width_px: int, height_px: int) -> bytes:
    """Overwrite the sizes that the block names, where it names any.

    Raises:
        BrokenExif: the block cannot be followed.
    """
    block = _Block(exif)
    first = block.number("L", 4)
    block.replace(first, IMAGE_WIDTH, width_px)
    block.replace(first, IMAGE_HEIGHT, height_px)
    nested = block.value(block.find(first, EXIF_IFD))
    if nested:
        block.replace(nested, PIXEL_WIDTH, width_px)
        block.replace(nested, PIXEL_HEIGHT, height_px)
    return bytes(block.data)


def _drop_thumbnail(block: _Block, first: int) -> None:
    link = block.link(first)
    second = block.number("L", link)
    if not second:
        return
    block.put("L", link, 0)
    start = block.value(block.find(second, THUMBNAIL_OFFSET))
    length = block.value(block.find(second, THUMBNAIL_BYTES))
    if not start or start + length > len(block.data):
        return
    if start + length >= len(block.data) - 1:  # at the end, as cameras write it (one byte may pad)
        del block.data[start:]
    else:
        block.data[start : start + length] = bytes(length)
