# SPDX-License-Identifier: Apache-2.0
"""GEGL buffers as raw bytes in the image's own space and precision: nothing is converted here."""

from __future__ import annotations

from typing import Any

from gi.repository import Babl, Gegl, Gimp

from pid_protocol.pixels import PixelFormat, Region

DEPTHS = {
    "u8": "u8", "u16": "u16", "half": "f16", "float": "f32", "u32": "f32", "double": "f32",
}  # fmt: skip
"""GEGL's types as the wire has them; the widest two travel as float."""
TYPES = {"u8": "u8", "u16": "u16", "f16": "half", "f32": "float"}
"""The wire's depths as GEGL has them."""
MARKS = {"profile": "'", "linear": "", "perceptual": "~"}
"""How babl writes the tone curve."""
SRGB = "R'G'B'A u8"
"""What a screen shows; GEGL converts to it."""
_STRIP_BYTES = 16 << 20
_LOOK_PIXELS = 1 << 20


def format_of(drawable: Gimp.Drawable) -> PixelFormat:
    """Describe a drawable's pixels; an indexed one's as RGB."""
    size = drawable.get_width(), drawable.get_height()
    alpha = drawable.has_alpha()
    if drawable.is_indexed():
        return PixelFormat(*size, "rgba" if alpha else "rgb")
    model, _, kind = Babl.format_get_encoding(drawable.get_format()).rpartition(" ")
    encoding = "perceptual" if "~" in model else "profile" if "'" in model else "linear"
    if drawable.is_gray():
        channels = "gray-alpha" if alpha else "gray"
    else:
        channels = "rgba" if alpha else "rgb"
    return PixelFormat(*size, channels, DEPTHS[kind], encoding=encoding)


def babl_name(image: PixelFormat, drawable: Gimp.Drawable) -> str:
    """Name of the format that has these samples in the space of a drawable."""
    mark = MARKS[image.encoding]
    model = f"Y{mark}" if image.channels.startswith("gray") else f"R{mark}G{mark}B{mark}"
    name = f"{model}{'A' if image.has_alpha else ''} {TYPES[image.depth]}"
    space = Babl.format_get_space(drawable.get_format())
    return Babl.get_name(Babl.format_with_space(name, space))


def read(drawable: Gimp.Drawable, region: Region, name: str, scale: float = 1.0) -> bytes:
    """Bytes of a part of a drawable; outside of it they are zero.

    Args:
        drawable: a layer, a mask, a selection.
        region: in pixels of the drawable, multiplied by `scale`.
        name: of the format.
        scale: enlarges by linear interpolation.
    """
    abyss = Gegl.AbyssPolicy.NONE if scale == 1.0 else Gegl.AbyssPolicy.CLAMP
    return drawable.get_buffer().get(_rectangle(region), scale, name, abyss)


def write(drawable: Gimp.Drawable, pixels: bytes | bytearray, row_bytes: int, name: str) -> None:
    """Fill a drawable."""
    view = memoryview(pixels)
    width, height = drawable.get_width(), drawable.get_height()
    rows = max(1, _STRIP_BYTES // row_bytes)
    buffer = drawable.get_buffer()
    for y in range(0, height, rows):
        count = min(rows, height - y)
        # GEGL takes bytes ten times faster than any other kind of buffer
        strip = bytes(view[y * row_bytes : (y + count) * row_bytes])
        buffer.set(_rectangle(Region(0, y, width, count)), name, strip)
    buffer.flush()
    drawable.update(0, 0, width, height)


def is_transparent(drawable: Gimp.Drawable) -> bool:
    """Whether nothing can be seen of a drawable; stops looking at the first pixel that can."""
    if not drawable.has_alpha():
        return False
    width, height = drawable.get_width(), drawable.get_height()
    rows = max(1, _LOOK_PIXELS // width)
    strips = (Region(0, y, width, min(rows, height - y)) for y in range(0, height, rows))
    return not any(read(drawable, strip, "A float").strip(b"\0") for strip in strips)


def _rectangle(region: Region) -> Any:
    return Gegl.Rectangle.new(region.x, region.y, region.width, region.height)
