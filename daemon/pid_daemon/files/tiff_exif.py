# SPDX-License-Identifier: Apache-2.0
"""EXIF in TIFF, where its directories are the file's own: taken into a block and put back."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

ORIENTATION = 274
DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 33432, ORIENTATION)
"""Tags of the first directory that describe the picture: description, make, model, software, date,
artist, host computer, copyright. The rest of that directory says where the pixels lie."""
_POINTERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

Tag = tuple[int, int | str, int, Any, bool]
"""What tifffile takes as an extra tag: code, type, count, value, in the first page only."""


def block_of(data: bytes, notices: list[str]) -> bytes:
    """Collect a TIFF's EXIF into a block as other formats carry it; empty when there is none."""
    exif = Image.Exif()
    try:
        exif.load_from_fp(io.BytesIO(data))
        kept = Image.Exif()
        kept.endian = "<"
        for tag in exif:
            if tag in DESCRIPTIVE:
                kept[tag] = exif[tag]
        for pointer in _POINTERS:
            if pointer in exif:
                nested = dict(exif.get_ifd(pointer))
                if nested:
                    kept.get_ifd(pointer).update(nested)
        if not len(kept) and not any(kept.get_ifd(pointer) for pointer in _POINTERS):
            return b""
        return kept.tobytes().removeprefix(b"Exif\x00\x00")
    except Exception:  # the parser raises whatever it likes on odd directories
        notices.append("The EXIF tags cannot be read and are left out.")
        return b""


def tags_of(block: bytes) -> tuple[list[Tag], dict[int, dict[int, Any]]]:
    """Split a block into tags for the first directory and the nested directories.

    The nested ones get a placeholder tag here; `append` writes them once the file is there.
    """
    if not block:
        return [], {}
    exif = Image.Exif()
    try:
        exif.load(block)
        tags: list[Tag] = []
        for tag in DESCRIPTIVE:
            value = exif.get(tag)
            if isinstance(value, str) and value:
                encoded = value.encode() + b"\x00"
                tags.append((tag, 2, len(encoded), encoded, True))
            elif tag == ORIENTATION and value is not None:
                tags.append((tag, 3, 1, 1, True))
        nested: dict[int, dict[int, Any]] = {}
        for pointer in _POINTERS:
            directory = dict(exif.get_ifd(pointer))
            if directory:
                nested[int(pointer)] = directory
                tags.append((_placeholder(int(pointer)), 4, 1, 0, True))
        return tags, nested
    except Exception:  # the source's block was readable, but not to this parser
        return [], {}


def append(file: BinaryIO, directories: dict[int, dict[int, Any]]) -> None:
    """Write nested directories behind everything else, and make the placeholders point to them."""
    if not directories:
        return
    file.seek(0)
    head = file.read(8)
    if head[:4] != b"II\x2a\x00":  # a BigTIFF, beyond 4 GiB: its directories look different
        return
    for pointer, directory in directories.items():
        entry = _entry(file, _placeholder(pointer))
        file.seek(0, io.SEEK_END)
        if file.tell() % 2:
            file.write(b"\x00")
        offset = file.tell()
        ifd = TiffImagePlugin.ImageFileDirectory_v2(head, group=pointer)
        for tag, value in directory.items():
            ifd[tag] = value
        file.write(ifd.tobytes(offset))
        file.seek(entry)
        file.write(struct.pack("<HHLL", pointer, 4, 1, offset))
    file.seek(0, io.SEEK_END)


def _placeholder(pointer: int) -> int:
    """The tag written first: tifffile refuses the real one. The number below keeps the order."""
    return pointer - 1


def _entry(file: BinaryIO, code: int) -> int:
    """Where the first directory keeps a tag."""
    file.seek(4)
    (directory,) = struct.unpack("<L", file.read(4))
    file.seek(directory)
    (count,) = struct.unpack("<H", file.read(2))
    for position in range(directory + 2, directory + 2 + 12 * count, 12):
        file.seek(position)
        if struct.unpack("<H", file.read(2)) == (code,):
            return position
    raise ValueError(f"the file has no tag {code}")
