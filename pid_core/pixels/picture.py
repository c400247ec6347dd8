# SPDX-License-Identifier: Apache-2.0
"""A picture as samples in memory, and the way from them to float planes and back. Nothing is copied
before it must."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from pid_core.errors import InvalidImage
from pid_core.pixels.format import DEPTHS, PictureFormat

_MAX = {"u8": 255.0, "u16": 65535.0}
_F16_MAX = 65504.0


@dataclass
class Picture:
    """Samples with their meaning."""

    format: PictureFormat
    """How to read them."""
    samples: np.ndarray
    """[H, W, samples] in the format's own type and order; may be a read-only view of received
    bytes."""
    notices: list[str] = field(default_factory=list)
    """Sentences about what had to be done to it."""

    def colours(self, top: int = 0, bottom: int | None = None) -> Tensor:
        """Colour of rows `top` to `bottom`: [C, h, W] float32, C = 1 or 3 in the order R, G, B,
        integers as 0..1."""
        rows = self.samples[top:bottom, :, : self.format.num_colours]
        planes = _to_float(rows, self.format.depth).permute(2, 0, 1)
        if self.format.order == "bgr" and not self.format.is_gray:
            planes = planes.flip(0)
        return planes.contiguous()

    def alpha(self, top: int = 0, bottom: int | None = None) -> Tensor | None:
        """Alpha of rows `top` to `bottom`: [h, W] float32 in [0, 1]; None when the picture has
        none."""
        if not self.format.has_alpha:
            return None
        rows = self.samples[top:bottom, :, -1:]
        return torch.nan_to_num(_to_float(rows, self.format.depth)[..., 0]).clamp(0, 1)

    def write(self, top: int, colours: Tensor, alpha: Tensor | None) -> None:
        """Round float planes into rows from `top` on.

        Args:
            top: first row.
            colours: [C, h, W] in R, G, B order; clipped to what the depth can hold.
            alpha: [h, W] in [0, 1]; needed exactly when the format has alpha.
        """
        if self.format.order == "bgr" and not self.format.is_gray:
            colours = colours.flip(0)
        rows = self.samples[top : top + colours.shape[1]]
        rows[..., : self.format.num_colours] = _from_float(
            colours.permute(1, 2, 0), self.format.depth
        )
        if self.format.has_alpha:
            if alpha is None:
                raise InvalidImage("The format has alpha and the picture has none.")
            rows[..., -1] = _from_float(alpha, self.format.depth)

    def cropped(self, x: int, y: int, width: int, height: int) -> Picture:
        """A part of it, as a view."""
        part = self.samples[y : y + height, x : x + width]
        return Picture(replace(self.format, width=width, height=height), part, list(self.notices))

    def check_finite(self) -> bool:
        """Whether every sample is a number; integers always are."""
        return not self.format.is_float or bool(np.isfinite(self.samples).all())


def unpack(buffer: bytes | bytearray | memoryview | np.ndarray, fmt: PictureFormat) -> Picture:
    """Read a picture from bytes without copying them.

    Raises:
        InvalidImage: the number of bytes is not what the format says.
    """
    flat = np.frombuffer(buffer, dtype=np.uint8)
    if flat.nbytes != fmt.num_bytes:
        raise InvalidImage(
            f"{fmt.width} x {fmt.height} px of {fmt.channels} in {fmt.depth} are {fmt.num_bytes} "
            f"bytes; {flat.nbytes} have come."
        )
    samples = flat.view(DEPTHS[fmt.depth]).reshape(fmt.height, fmt.width, fmt.num_samples)
    return Picture(fmt, samples)


def blank(fmt: PictureFormat) -> Picture:
    """A picture to be written; its samples are not set."""
    shape = (fmt.height, fmt.width, fmt.num_samples)
    return Picture(fmt, np.empty(shape, DEPTHS[fmt.depth]))


def pack(picture: Picture, fmt: PictureFormat | None = None) -> memoryview:
    """The picture's bytes, rows without gaps, in `fmt`; without a copy where the format is its own.

    Args:
        picture: what to pack.
        fmt: None = the picture's own. Channels, depth and order may differ from it; colour may not.
    Raises:
        InvalidImage: `fmt` has another size or another colour.
    """
    own = picture.format
    fmt = fmt or own
    if fmt != own:
        picture = _converted(picture, fmt)
    return np.ascontiguousarray(picture.samples).data.cast("B")


def _converted(picture: Picture, fmt: PictureFormat) -> Picture:
    own = picture.format
    if (fmt.width, fmt.height) != (own.width, own.height):
        raise InvalidImage(
            f"The picture has {own.width} x {own.height} px, the format {fmt.width} x {fmt.height}."
        )
    if fmt.is_gray != own.is_gray or (fmt.icc, fmt.encoding) != (own.icc, own.encoding):
        raise InvalidImage(
            "Packing does not convert colour: profile, encoding and grey have to agree."
        )
    target = blank(fmt)
    alpha = picture.alpha()
    if fmt.has_alpha and alpha is None:
        alpha = torch.ones(own.height, own.width)
    target.write(0, picture.colours(), alpha)
    return target


def _to_float(rows: np.ndarray, depth: str) -> Tensor:
    if depth == "u16":  # torch has few operations for uint16
        values = torch.from_numpy(rows.astype(np.float32))
    elif not rows.flags.writeable or not rows.flags.c_contiguous:
        values = torch.from_numpy(rows.astype(rows.dtype))
    else:
        values = torch.from_numpy(rows)
    values = values.to(torch.float32)
    return values / _MAX[depth] if depth in _MAX else values


def _from_float(values: Tensor, depth: str) -> np.ndarray:
    if depth in _MAX:
        # rint, not floor(x + 0.5): an integer that was divided and multiplied comes back as itself.
        scaled = values.clamp(0, 1).mul(_MAX[depth]).round_()
        if depth == "u8":
            return scaled.to(torch.uint8).numpy(force=True)
        return scaled.to(torch.int32).numpy(force=True).astype(np.uint16)
    if depth == "f16":
        values = values.clamp(-_F16_MAX, _F16_MAX)
    return values.numpy(force=True).astype(DEPTHS[depth])
