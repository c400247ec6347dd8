# SPDX-License-Identifier: Apache-2.0
"""Writing a result: what the format cannot hold is converted and said, the record goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pid_daemon.files import exif, xmp
from pid_daemon.files.atomic import whole_file
from pid_daemon.files.formats import FileFormat, format_for
from pid_daemon.files.jpeg import MAX_BLOCK_BYTES, write_jpeg
from pid_daemon.files.picture import DTYPE_OF, Metadata, Pixels, UnwritableOutput
from pid_daemon.files.png import write_png
from pid_daemon.files.tiff import write_tiff
from pid_daemon.files.webp import write_webp
from pid_protocol.pixels import CHANNELS, PixelFormat

_WRITERS = {"png": write_png, "jpeg": write_jpeg, "webp": write_webp, "tiff": write_tiff}


def write(
    path: Path,
    pixels: Pixels | bytes | bytearray | memoryview,
    image: PixelFormat,
    *,
    icc: bytes = b"",
    metadata: Metadata | None = None,
    record: Mapping[str, Any] | None = None,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write a picture in the format that the name's ending stands for, atomically.

    Args:
        path: where to; its folder exists.
        pixels: samples in wire order, as an array or as bytes.
        image: how to read them.
        icc: the profile that the pixels are in; empty = sRGB.
        metadata: what the source carried.
        record: what was done, embedded and read back by `read_record`.
        quality: 1 to 100 for JPEG and WebP (100 = lossless WebP); None = the format's default.
    Returns:
        Sentences about what the format could not hold.
    Raises:
        UnwritableOutput: the picture is too large for the format, or the system refuses.
        InvalidImage: the ending stands for no format.
    """
    container = format_for(path)
    check_fits(container, image.width, image.height)
    notices: list[str] = []
    array = _array(pixels, image)
    array, icc = _channels_for(container, array, icc, notices)
    array = _depth_for(container, array, image.depth, notices)
    carried = _metadata_for(container, metadata or Metadata(), image, record, notices)
    with whole_file(path) as file:
        _WRITERS[container.name](file, array, icc, carried, quality)
    return tuple(notices)


def check_fits(container: FileFormat, width: int, height: int) -> None:
    """Refuse a size that the format cannot hold.

    Raises:
        UnwritableOutput: it cannot.
    """
    if max(width, height) > container.max_side_px:
        raise UnwritableOutput(
            f"{container.label} holds at most {container.max_side_px} px a side; "
            f"the result has {width} x {height} px.",
            "Choose --format png or tiff.",
        )


def _array(pixels: Pixels | bytes | bytearray | memoryview, image: PixelFormat) -> Pixels:
    count = CHANNELS[image.channels]
    shape = (image.height, image.width) + ((count,) if count > 1 else ())
    dtype = DTYPE_OF[image.depth]
    if isinstance(pixels, np.ndarray):
        array = pixels.astype(dtype, copy=False).reshape(shape)
    else:
        array = (
            np.frombuffer(pixels, dtype.newbyteorder("<")).reshape(shape).astype(dtype, copy=False)
        )
    if image.order == "bgr" and count >= 3:
        array = array[..., [2, 1, 0, *range(3, count)]]
    return array


def _channels_for(
    container: FileFormat, array: Pixels, icc: bytes, notices: list[str]
) -> tuple[Pixels, bytes]:
    count = 1 if array.ndim == 2 else int(array.shape[2])
    if count in (2, 4) and not container.has_alpha:
        array = _on_white(array)
        notices.append(f"{container.label} has no transparency: the picture lies on white.")
        count -= 1
    if count <= 2 and not container.has_gray:
        gray = array if count == 1 else array[..., 0]
        array = np.stack([gray] * 3 + ([array[..., 1]] if count == 2 else []), axis=-1)
        notices.append(f"{container.label} has no greyscale: the picture is written as RGB.")
        if icc:
            icc = b""
            notices.append("The greyscale profile is left out.")
    return array, icc


def _on_white(array: Pixels) -> Pixels:
    """Lay straight-alpha pixels on white, in the numbers as they are."""
    top = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    colour = array[..., :-1].astype(np.float32)
    alpha = array[..., -1:].astype(np.float32) / top
    flat = colour * alpha + top * (1.0 - alpha)
    flat = (
        flat.astype(array.dtype) if array.dtype.kind == "f" else np.rint(flat).astype(array.dtype)
    )
    return flat[..., 0] if flat.shape[2] == 1 else flat


def _depth_for(container: FileFormat, array: Pixels, depth: str, notices: list[str]) -> Pixels:
    if depth in container.depths:
        return array
    top = 65535 if "u16" in container.depths else 255
    if array.dtype.kind == "f":
        unit = np.clip(np.nan_to_num(array.astype(np.float32)), 0.0, 1.0)
        notices.append(f"{container.label} has no floating point: values are cut to 0 to 1.")
    else:
        unit = array.astype(np.float32) / np.iinfo(array.dtype).max
    notices.append(f"{container.label} holds {16 if top > 255 else 8} bits: the depth is reduced.")
    return np.rint(unit * top).astype(np.uint16 if top > 255 else np.uint8)


def _metadata_for(
    container: FileFormat,
    metadata: Metadata,
    image: PixelFormat,
    record: Mapping[str, Any] | None,
    notices: list[str],
) -> Metadata:
    """The source's metadata with the new size and the record, within what a JPEG marker holds."""
    block, packet = metadata.exif, metadata.xmp
    if block:
        try:
            block = exif.with_size(block, image.width, image.height)
        except exif.BrokenExif:
            block = b""
    if record is not None:
        packet = xmp.with_record(packet, dict(record))
    if container.name == "jpeg":
        if len(packet) > MAX_BLOCK_BYTES:
            packet = xmp.with_record(b"", dict(record)) if record is not None else b""
            notices.append("The source's XMP packet is too long for JPEG and is left out.")
        if len(block) > MAX_BLOCK_BYTES:
            block = b""
            notices.append("The source's EXIF block is too long for JPEG and is left out.")
    return replace(metadata, exif=block, xmp=packet)
