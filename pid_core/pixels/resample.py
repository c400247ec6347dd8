# SPDX-License-Identifier: Apache-2.0
"""Exact resampling: separable, any size to any size, a part of the input to a part of the output.

Alignment: pixels are little squares; sample i covers [i, i + 1). A picture is mapped edge to edge, so the centre of
output sample i lies at (i + 1/2) * length_in / length_out in the input. Nothing shifts by half a pixel in any chain of
steps. Beyond an edge the outermost sample counts, or, with wrap, the opposite side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

LANCZOS, BICUBIC, AREA = "lanczos", "bicubic", "area"


@dataclass(frozen=True)
class Axis:
    """How one axis is mapped."""

    size_in: int
    """Samples that there are."""
    size_out: int
    """Samples that are wanted."""
    start: float = 0.0
    """Where the first output sample begins, in input samples."""
    length: float = 0.0
    """Input samples that the output covers; 0 = all."""
    wrap: bool = False
    """Whether the ends meet."""

    @property
    def step(self) -> float:
        """Input samples for one output sample."""
        return (self.length or float(self.size_in)) / self.size_out

    @property
    def is_crop(self) -> bool:
        """Whether samples are only picked, not mixed."""
        inside = 0 <= self.start and self.start + self.size_out <= self.size_in
        return self.step == 1 and float(self.start).is_integer() and inside


def resample(
    planes: Tensor,
    x: Axis,
    y: Axis,
    *,
    kernel: str = "auto",
    top: int = 0,
    bottom: int | None = None,
) -> Tensor:
    """Resample planes to rows `top` to `bottom` of the output.

    Args:
        planes: [C, h, w] float32.
        x: mapping of columns.
        y: mapping of rows.
        kernel: `lanczos` (3 lobes), `bicubic` (Catmull-Rom), `area`, or `auto`: area where it shrinks, bicubic
            where it grows. The kernels widen where they shrink.
        top: first output row that is wanted.
        bottom: first one that is not; None = to the end.
    Returns:
        [C, bottom - top, x.size_out] float32.
    """
    bottom = y.size_out if bottom is None else bottom
    # The cheaper order: shrink before grow.
    if y.size_out <= y.size_in:
        return _columns(_rows(planes, y, kernel, top, bottom), x, kernel)
    first, last = _needed(y, kernel, top, bottom)
    if first is None:
        return _rows(_columns(planes, x, kernel), y, kernel, top, bottom)
    part = _columns(planes[:, first:last], x, kernel)
    return _rows(part, y, kernel, top, bottom, offset=first)


def fit(planes: Tensor, width: int, height: int, kernel: str = "auto") -> Tensor:
    """Resample all of [C, h, w] to [C, height, width]."""
    return resample(
        planes, Axis(planes.shape[2], width), Axis(planes.shape[1], height), kernel=kernel
    )


def _rows(
    planes: Tensor, axis: Axis, kernel: str, top: int, bottom: int, offset: int = 0
) -> Tensor:
    if axis.is_crop:
        shift = int(axis.start) - offset
        return planes[:, shift + top : shift + bottom]
    index, weight = _taps(axis, kernel, planes.device)
    index, weight = index[:, top:bottom] - offset, weight[:, top:bottom]
    if (factor := _whole_factor(axis, kernel)) and offset == 0:
        part = planes[:, top * factor : bottom * factor]
        return part.reshape(part.shape[0], -1, factor, part.shape[2]).mean(2)
    total = planes[:, index[0]] * weight[0][:, None]
    for tap in range(1, len(index)):
        total.addcmul_(planes[:, index[tap]], weight[tap][:, None])
    return total


def _columns(planes: Tensor, axis: Axis, kernel: str) -> Tensor:
    if axis.is_crop:
        return planes[:, :, int(axis.start) : int(axis.start) + axis.size_out]
    if factor := _whole_factor(axis, kernel):
        return planes.unflatten(2, (-1, factor)).mean(3)
    turned = planes.transpose(1, 2).contiguous()
    return _rows(turned, axis, kernel, 0, axis.size_out).transpose(1, 2).contiguous()


def _whole_factor(axis: Axis, kernel: str) -> int:
    """The whole number of samples that one output sample averages; 0 when it is not that simple."""
    if kernel not in ("auto", AREA) or axis.start != 0:
        return 0
    if axis.length not in (0.0, float(axis.size_in)) or axis.size_in % axis.size_out:
        return 0
    factor = axis.size_in // axis.size_out
    return factor if factor > 1 else 0


def _needed(
    axis: Axis, kernel: str, top: int, bottom: int
) -> tuple[int, int] | tuple[None, None]:
    """Input rows that output rows depend on; None when they wrap or nothing is to be won."""
    if axis.is_crop or axis.wrap:
        return None, None
    index, _ = _taps(axis, kernel, torch.device("cpu"))
    part = index[:, top:bottom]
    return int(part.min()), int(part.max()) + 1


def _taps(axis: Axis, kernel: str, device: torch.device) -> tuple[Tensor, Tensor]:
    index, weight = _cpu_taps(axis, kernel)
    return index.to(device), weight.to(device)


@lru_cache(maxsize=32)
def _cpu_taps(axis: Axis, kernel: str) -> tuple[Tensor, Tensor]:
    """Input samples and their weights for every output sample: two [taps, size_out]."""
    step = axis.step
    if kernel == "auto":
        kernel = AREA if step > 1 else BICUBIC
    centres = axis.start + (torch.arange(axis.size_out, dtype=torch.float64) + 0.5) * step
    widened = max(step, 1.0)
    support = {AREA: 0.5 * step, BICUBIC: 2.0 * widened, LANCZOS: 3.0 * widened}[kernel]
    taps = math.ceil(2 * support) + 1
    first = torch.floor(centres - support)
    index = first + torch.arange(taps, dtype=torch.float64)[:, None]
    if kernel == AREA:
        low, high = centres - 0.5 * step, centres + 0.5 * step
        weight = torch.minimum(index + 1, high) - torch.maximum(index, low)
        weight = weight.clamp_min(0)
    else:
        distance = (index + 0.5 - centres) / widened
        weight = _bicubic(distance) if kernel == BICUBIC else _lanczos(distance)
    weight = weight / weight.sum(0)
    index = index.long()
    index = index % axis.size_in if axis.wrap else index.clamp(0, axis.size_in - 1)
    used = (weight != 0).any(1)
    return index[used], weight[used].to(torch.float32)


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))
