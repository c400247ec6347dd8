# SPDX-License-Identifier: Apache-2.0
"""TIFF by tifffile: integers and floats, with the first page's profile and metadata."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import tifffile

from pid_daemon.files import tiff_exif
from pid_daemon.files.cmyk import from_cmyk
from pid_daemon.files.picture import Decoded, Metadata, Pixels
from pid_daemon.files.pillow import check_size
from pid_protocol.errors import InvalidImage

_XMP, _ICC, _X_RESOLUTION, _Y_RESOLUTION, _UNIT, _ORIENTATION = 700, 34675, 282, 283, 296, 274
_INCH, _CENTIMETRE = 2, 3
_REDUCED_OR_MASK = 1 | 4
"""Bits of the NewSubfileType: thumbnails, previews and masks are no further pages."""


def read_tiff(data: bytes) -> Decoded:
    """Decode the first page of a TIFF; raises whatever the decoders raise."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = cast(Any, file.pages[0])
        check_size(
            page.imagewidth,
            page.imagelength,
            page.samplesperpixel * max(1, page.bitspersample // 8),
        )
        notices: list[str] = []
        pages = sum(1 for p in file.pages if not int(cast(Any, p).subfiletype) & _REDUCED_OR_MASK)
        if pages > 1:
            notices.append(f"It holds {pages} pages; the first one is taken.")
        icc = _blob(page, _ICC)
        pixels = _samples(page)
        if page.photometric.name == "SEPARATED":
            pixels, notice = from_cmyk(_depth(pixels[..., :4], notices), icc)
            icc = b""
            notices.append(notice)
        else:
            pixels = _colour(page, pixels, notices)
        dpi = _dpi(page)
        packet = _blob(page, _XMP)
    return Decoded(pixels, icc, tiff_exif.block_of(data, notices), packet, dpi, tuple(notices))


def write_tiff(
    file: BinaryIO, pixels: Pixels, icc: bytes, metadata: Metadata, quality: int | None
) -> None:
    """Encode pixels of any depth of ours, losslessly compressed; `quality` has no meaning here."""
    count = 1 if pixels.ndim == 2 else pixels.shape[2]
    tags, directories = tiff_exif.tags_of(metadata.exif)
    if metadata.xmp:
        tags.append((_XMP, 1, len(metadata.xmp), metadata.xmp, True))
    tifffile.imwrite(
        file,
        np.ascontiguousarray(pixels),
        photometric="rgb" if count >= 3 else "minisblack",
        planarconfig="contig" if count > 1 else None,
        extrasamples=["unassalpha"] if count in (2, 4) else None,
        compression="zlib",
        predictor=True,
        rowsperstrip=64,
        iccprofile=icc or None,
        resolution=metadata.dpi,
        resolutionunit=_INCH if metadata.dpi else None,
        metadata=None,
        software=False,
        extratags=tags,
    )
    tiff_exif.append(file, directories)


def xmp_of(path: Path) -> bytes:
    """The XMP packet of the first page."""
    with tifffile.TiffFile(path) as opened:
        return _blob(cast(Any, opened.pages[0]), _XMP)


def _samples(page: Any) -> Pixels:
    """The page as [H, W] or [H, W, C]."""
    pixels = np.asarray(page.asarray())
    if page.samplesperpixel > 1 and int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    if page.imagedepth > 1:
        pixels = pixels[0]
    expected = (page.imagelength, page.imagewidth)
    if pixels.shape[:2] != expected or pixels.ndim > 3:
        raise InvalidImage(f"Its pixels decode to {pixels.shape} instead of {expected}.")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _colour(page: Any, pixels: Pixels, notices: list[str]) -> Pixels:
    """Grey, grey with alpha, RGB or RGBA with straight alpha, in a depth of ours."""
    kind = page.photometric.name
    if kind == "PALETTE":
        table = np.asarray(page.colormap, np.uint16).T
        return np.rint(table[pixels] / 257.0).astype(np.uint8)
    if kind not in ("MINISBLACK", "MINISWHITE", "RGB", "YCBCR"):
        raise InvalidImage(f"Its pixels are of the kind {kind}, which cannot be taken.")
    base = 3 if kind in ("RGB", "YCBCR") else 1
    pixels = _depth(pixels, notices, bits=page.bitspersample)
    if kind == "MINISWHITE":
        pixels = (np.iinfo(pixels.dtype).max - pixels) if pixels.dtype.kind == "u" else 1 - pixels
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] < base:
        raise InvalidImage(f"It has {pixels.shape[2]} samples a pixel; {kind} needs {base}.")
    return _with_alpha(page, pixels, base, notices)


def _with_alpha(page: Any, pixels: Pixels, base: int, notices: list[str]) -> Pixels:
    extra = [int(kind) for kind in page.extrasamples]
    alpha = extra[0] if extra else 0
    if alpha not in (1, 2):
        if pixels.shape[2] > base:
            notices.append(f"{pixels.shape[2] - base} extra channels are left out.")
        return pixels[..., :base] if base > 1 else pixels[..., 0]
    if pixels.shape[2] > base + 1:
        notices.append(f"{pixels.shape[2] - base - 1} extra channels are left out.")
        pixels = pixels[..., : base + 1]
    return _straight(pixels) if alpha == 1 else pixels


def _straight(pixels: Pixels) -> Pixels:
    """Undo premultiplied (associated) alpha."""
    is_float = pixels.dtype.kind == "f"
    top = 1.0 if is_float else float(np.iinfo(pixels.dtype).max)
    colour = pixels[..., :-1].astype(np.float32)
    alpha = pixels[..., -1:].astype(np.float32) / top
    colour = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0)
    if not is_float:
        colour = np.rint(np.clip(colour, 0, top))
    return np.concatenate([colour.astype(pixels.dtype), pixels[..., -1:]], axis=-1)


def _depth(pixels: Pixels, notices: list[str], bits: int = 0) -> Pixels:
    """Bring samples into a depth of ours; what loses precision is said."""
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if kind == "u" and size <= 2:
        native = pixels.dtype.newbyteorder("=")
        pixels = pixels.astype(native, copy=False)
        if bits and bits < size * 8:  # 2, 4, 12, 14 bits in a wider integer
            factor = ((1 << size * 8) - 1) / ((1 << bits) - 1)
            return np.rint(pixels * factor).astype(native)
        return pixels
    if kind == "u" and size == 4:
        notices.append("32-bit integers are reduced to 16 bits.")
        return (pixels >> 16).astype(np.uint16)
    if kind == "f":
        if size == 8:
            notices.append("64-bit floats are reduced to 32 bits.")
        return pixels.astype(np.float16 if size == 2 else np.float32, copy=False)
    raise InvalidImage(f"Its samples are of the type {pixels.dtype.name}, which cannot be taken.")


def _blob(page: Any, code: int) -> bytes:
    tag = page.tags.get(code)
    value = tag.value if tag is not None else b""
    return bytes(cast(Any, value)) if isinstance(value, (bytes, tuple)) else b""


def _dpi(page: Any) -> tuple[float, float] | None:
    unit = page.tags.valueof(_UNIT, default=_INCH)
    sides: list[float] = []
    for code in (_X_RESOLUTION, _Y_RESOLUTION):
        value: Any = page.tags.valueof(code, default=None)
        try:
            numerator, denominator = value
            side = numerator / denominator
        except (TypeError, ValueError, ZeroDivisionError):
            return None
        sides.append(side * (2.54 if int(unit) == _CENTIMETRE else 1.0))
    if int(unit) not in (_INCH, _CENTIMETRE) or min(sides) <= 0:
        return None
    return sides[0], sides[1]
