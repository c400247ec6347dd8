# SPDX-License-Identifier: Apache-2.0
"""The table of file formats: what each one can hold, and the first bytes that tell it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pid_protocol.errors import InvalidImage
from pid_protocol.limits import MAX_SIDE_PX


@dataclass(frozen=True)
class FileFormat:
    """One file format."""

    name: str
    """What `--format` calls it."""
    label: str
    """What people call it."""
    suffixes: tuple[str, ...]
    """File name endings, the usual one first."""
    depths: tuple[str, ...]
    """Wire depths that it can hold."""
    has_alpha: bool = True
    """Whether it can hold transparency."""
    has_gray: bool = True
    """Whether it can hold one-channel pictures."""
    max_side_px: int = MAX_SIDE_PX
    """Longest side that it can hold."""


FORMATS: tuple[FileFormat, ...] = (
    FileFormat("png", "PNG", (".png",), ("u8", "u16")),
    FileFormat("jpeg", "JPEG", (".jpg", ".jpeg"), ("u8",), has_alpha=False, max_side_px=65_500),
    FileFormat("webp", "WebP", (".webp",), ("u8",), has_gray=False, max_side_px=16_383),
    FileFormat("tiff", "TIFF", (".tif", ".tiff"), ("u8", "u16", "f16", "f32")),
)
"""All formats that are read and written. JPEG's limit is libjpeg's own, WebP's its 14 bits."""

SUFFIXES = tuple(suffix for fmt in FORMATS for suffix in fmt.suffixes)
"""Endings by which pictures in a folder are found."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (8, b"WEBP", "webp"),
    (0, b"II\x2a\x00", "tiff"),
    (0, b"MM\x00\x2a", "tiff"),
    (0, b"II\x2b\x00", "tiff"),
    (0, b"MM\x00\x2b", "tiff"),
)
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftyp", "a video"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance picture"),
    (0, b"PK\x03\x04", "a zip archive or a document made of one"),
)


def readable() -> str:
    """The formats in a sentence."""
    *most, last = (fmt.label for fmt in FORMATS)
    return f"{', '.join(most)} and {last}"


def format_by_name(name: str) -> FileFormat:
    """The format that `--format` means.

    Raises:
        InvalidImage: there is no such format.
    """
    for fmt in FORMATS:
        if fmt.name == name:
            return fmt
    raise InvalidImage(
        f"There is no file format {name!r}.", f"Formats: {', '.join(f.name for f in FORMATS)}."
    )


def format_for(path: Path) -> FileFormat:
    """The format that a file name's ending stands for.

    Raises:
        InvalidImage: the ending stands for none.
    """
    for fmt in FORMATS:
        if path.suffix.lower() in fmt.suffixes:
            return fmt
    ending = f"{path.suffix!r} stands for none" if path.suffix else "the name has no ending"
    raise InvalidImage(
        f"{path.name} does not say a file format that can be written: {ending}.",
        f"Endings: {' '.join(SUFFIXES)}.",
    )


def sniff(head: bytes) -> FileFormat:
    """Recognise a file by its first bytes; its name does not matter.

    Raises:
        InvalidImage: it is something else.
    """
    for offset, magic, name in _SIGNATURES:
        if head.startswith(magic, offset):
            return format_by_name(name)
    kind = next((kind for at, magic, kind in _FOREIGN if head.startswith(magic, at)), "")
    raise InvalidImage(
        f"It is {kind}." if kind else "It is not a picture.", f"{readable()} files are read."
    )
