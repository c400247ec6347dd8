# SPDX-License-Identifier: Apache-2.0
"""Exact resampling: separable, any size to any size, a part of the input to a part of the output.

Alignment: pixels are little squares; sample i covers [i, i + 1). A picture is mapped edge to edge,
so the centre of output sample i lies at (i + 1/2) * length_in / length_out in the input. Nothing
shifts by half a pixel in any chain of steps. Beyond an edge the outermost sample counts, or, with
wrap, the opposite side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

LANCZOS, BICUBIC, AREA = "lanczos", "bicubic", "area"
_GAUSS = "gauss:"
_BLOCK = 64
"""Output samples that are made by one small matrix product; measured: 32 to 128 are equally
fast."""


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
        kernel: `lanczos` (3 lobes), `bicubic` (Catmull-Rom), `area`, or `auto`: area where it
            shrinks, bicubic where it grows. The kernels widen where they shrink.
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


def blur(planes: Tensor, radius: tuple[float, float], wrap: tuple[bool, bool]) -> Tensor:
    """Gaussian of [C, h, w].

    Args:
        planes: any values.
        radius: standard deviation in samples, of x and of y; 0 = leave that axis alone.
        wrap: whether the ends of x and of y meet; otherwise the outermost sample goes on.
    """
    height, width = planes.shape[1:]
    if radius[1] > 0:
        y = Axis(height, height, wrap=wrap[1])
        planes = _mixed_rows(planes, y, f"{_GAUSS}{radius[1]}", 0, height, 0)
    if radius[0] > 0:
        planes = _mixed_columns(planes, Axis(width, width, wrap=wrap[0]), f"{_GAUSS}{radius[0]}")
    return planes


def _rows(
    planes: Tensor, axis: Axis, kernel: str, top: int, bottom: int, offset: int = 0
) -> Tensor:
    """Along the middle axis of [C, n, m]; `offset` is the first input row that `planes` holds."""
    if axis.is_crop:
        shift = int(axis.start) - offset
        return planes[:, shift + top : shift + bottom]
    if (factor := _whole_factor(axis, kernel)) and offset == 0:
        part = planes[:, top * factor : bottom * factor]
        return part.unflatten(1, (-1, factor)).mean(2)
    return _mixed_rows(planes, axis, kernel, top, bottom, offset)


def _mixed_rows(
    planes: Tensor, axis: Axis, kernel: str, top: int, bottom: int, offset: int
) -> Tensor:
    done = planes.new_empty(planes.shape[0], bottom - top, planes.shape[2])
    for block in _blocks(axis, kernel):
        low, high = max(top, block.low), min(bottom, block.high)
        if low >= high:
            continue
        weight = block.weight[low - block.low : high - block.low].to(planes.device)
        if block.index is None:
            taken = planes[:, block.first - offset : block.last - offset]
        else:
            taken = planes[:, block.index.to(planes.device)]
        torch.matmul(weight, taken, out=done[:, low - top : high - top])
    return done


def _columns(planes: Tensor, axis: Axis, kernel: str) -> Tensor:
    """Along the last axis of [C, n, m]."""
    if axis.is_crop:
        return planes[:, :, int(axis.start) : int(axis.start) + axis.size_out]
    if factor := _whole_factor(axis, kernel):
        return planes.unflatten(2, (-1, factor)).mean(3)
    return _mixed_columns(planes, axis, kernel)


def _mixed_columns(planes: Tensor, axis: Axis, kernel: str) -> Tensor:
    done = planes.new_empty(planes.shape[0], planes.shape[1], axis.size_out)
    for block in _blocks(axis, kernel):
        if block.index is None:
            taken = planes[:, :, block.first : block.last]
        else:
            taken = planes[:, :, block.index.to(planes.device)]
        weight = block.weight.to(planes.device).T
        done[:, :, block.low : block.high] = torch.matmul(taken, weight)
    return done


def _whole_factor(axis: Axis, kernel: str) -> int:
    """The whole number of samples that one output sample averages; 0 when it is not that simple."""
    if kernel not in ("auto", AREA) or axis.start != 0:
        return 0
    if axis.length not in (0.0, float(axis.size_in)) or axis.size_in % axis.size_out:
        return 0
    factor = axis.size_in // axis.size_out
    return factor if factor > 1 else 0


def _needed(axis: Axis, kernel: str, top: int, bottom: int) -> tuple[int, int] | tuple[None, None]:
    """Input rows that output rows depend on; None when they wrap or nothing is to be won."""
    if axis.is_crop or axis.wrap:
        return None, None
    blocks = [one for one in _blocks(axis, kernel) if one.low < bottom and one.high > top]
    return min(one.first for one in blocks), max(one.last for one in blocks)


@dataclass(frozen=True)
class _Block:
    """Some neighbouring output samples as a matrix over the input samples that they depend on."""

    low: int
    """First output sample."""
    high: int
    """First one behind."""
    first: int
    """First input sample."""
    last: int
    """First one behind."""
    weight: Tensor
    """[high - low, samples] float32."""
    index: Tensor | None
    """Input samples where they are not simply `first` to `last`."""


@lru_cache(maxsize=64)
def _blocks(axis: Axis, kernel: str) -> tuple[_Block, ...]:
    index, weight = _taps(axis, kernel)
    blocks: list[_Block] = []
    for low in range(0, axis.size_out, _BLOCK):
        high = min(axis.size_out, low + _BLOCK)
        part = index[:, low:high]
        first, last = int(part.min()), int(part.max()) + 1
        matrix = torch.zeros(high - low, last - first, dtype=torch.float64)
        matrix.scatter_add_(1, (part - first).T, weight[:, low:high].T)
        if 0 <= first and last <= axis.size_in:
            blocks.append(_Block(low, high, first, last, matrix.float(), None))
            continue
        span = torch.arange(first, last)
        if axis.wrap:
            blocks.append(_Block(low, high, 0, axis.size_in, matrix.float(), span % axis.size_in))
            continue
        # Beyond an end the outermost sample counts: fold its weights onto it.
        inside = span.clamp(0, axis.size_in - 1)
        first, last = int(inside[0]), int(inside[-1]) + 1
        folded = torch.zeros(high - low, last - first, dtype=torch.float64)
        folded.index_add_(1, inside - first, matrix)
        blocks.append(_Block(low, high, first, last, folded.float(), None))
    return tuple(blocks)


def _taps(axis: Axis, kernel: str) -> tuple[Tensor, Tensor]:
    """Input samples, not yet bounded, and their weights for every output sample: two [taps,
    size_out]."""
    step = axis.step
    if kernel == "auto":
        kernel = AREA if step > 1 else BICUBIC
    centres = axis.start + (torch.arange(axis.size_out, dtype=torch.float64) + 0.5) * step
    widened = max(step, 1.0)
    if kernel.startswith(_GAUSS):
        widened, kernel = float(kernel.removeprefix(_GAUSS)), _GAUSS
    support = {
        AREA: 0.5 * step,
        BICUBIC: 2.0 * widened,
        LANCZOS: 3.0 * widened,
        _GAUSS: 3.0 * widened,
    }[kernel]
    taps = math.ceil(2 * support) + 1
    index = torch.floor(centres - support) + torch.arange(taps, dtype=torch.float64)[:, None]
    if kernel == AREA:
        low, high = centres - 0.5 * step, centres + 0.5 * step
        weight = (torch.minimum(index + 1, high) - torch.maximum(index, low)).clamp_min(0)
    else:
        distance = (index + 0.5 - centres) / widened
        weight = {BICUBIC: _bicubic, LANCZOS: _lanczos, _GAUSS: _gauss}[kernel](distance)
    weight = weight / weight.sum(0)
    used = (weight != 0).any(1)
    return index.long()[used], weight[used]


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


def _gauss(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x * x)
