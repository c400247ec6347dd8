# SPDX-License-Identifier: Apache-2.0
"""The colour lock: the low band of a result is its source's, so that hue and tone cannot drift.

Worked out per channel in linear light on a grid of about one sample for each source pixel, as a smooth gain: the
low-passed source over the low-passed area average of the result. A gain, not a sum, because what a bright edge lacks
must not glow in the dark next to it; FLOOR makes it a sum near black.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pid_core.pixels.delta_e import delta_e_2000

FLOOR = 0.02
"""Linear light that is added before and taken off after the gain."""
_ROUNDS = 3
"""The gain of a smooth gain is not quite exact; so often it is refined."""
_MAX_GAIN = 8.0


def lock_radius_px(repair: float) -> float:
    """Radius (standard deviation of the low-pass) in source pixels: larger where more may be repaired."""
    return 2.0 + 6.0 * repair


def low_pass(planes: Tensor, radius: tuple[float, float], wrap: tuple[bool, bool]) -> Tensor:
    """Gaussian of [C, h, w].

    Args:
        planes: any values.
        radius: standard deviation in samples, of x and of y.
        wrap: whether the ends of x and of y meet; otherwise the outermost sample goes on.
    """
    planes = _blurred(planes, radius[1], wrap[1])
    return _blurred(planes.transpose(1, 2), radius[0], wrap[0]).transpose(1, 2)


def lock_gain(
    source: Tensor, result: Tensor, radius: tuple[float, float], wrap: tuple[bool, bool]
) -> Tensor:
    """The gain that makes the low band of `result` the source's, see `apply_gain`.

    Args:
        source: [C, h, w] linear light.
        result: [C, h, w] linear light, area-averaged to the same grid.
        radius: see `low_pass`.
        wrap: see `low_pass`.
    Returns:
        [C, h, w], smooth.
    """
    wanted = low_pass(source, radius, wrap) + FLOOR
    gain = torch.ones_like(result)
    for _ in range(_ROUNDS):
        have = low_pass(apply_gain(result, gain), radius, wrap) + FLOOR
        # Colours far outside the gamut may be negative even in the mean: they are left alone.
        usable = (have > FLOOR / 4) & (wanted > FLOOR / 4)
        ratio = torch.where(usable, wanted / have, torch.ones_like(have))
        gain = (gain * ratio).clamp_(1 / _MAX_GAIN, _MAX_GAIN)
    return gain


def apply_gain(linear: Tensor, gain: Tensor) -> Tensor:
    """Multiply linear light, counted from a little below black."""
    return (linear + FLOOR) * gain - FLOOR


def drift(
    source: Tensor,
    result: Tensor,
    radius: tuple[float, float],
    wrap: tuple[bool, bool],
    weight: Tensor | None = None,
) -> dict[str, float]:
    """Colour difference of the low bands.

    Args:
        source: [3, h, w] linear sRGB.
        result: [3, h, w] linear sRGB, area-averaged to the same grid.
        radius: see `low_pass`.
        wrap: see `low_pass`.
        weight: [h, w]; samples at 0 do not count. None = all count.
    Returns:
        `median` and `p99` of the CIEDE2000 difference.
    """
    distance = delta_e_2000(low_pass(source, radius, wrap), low_pass(result, radius, wrap))
    if weight is not None and bool((weight > 0).any()):
        distance = distance[weight > 0]
    ordered = distance.flatten().sort().values
    last = len(ordered) - 1
    return {
        "median": round(float(ordered[last // 2]), 4),
        "p99": round(float(ordered[math.ceil(last * 0.99)]), 4),
    }


def _blurred(planes: Tensor, radius: float, wrap: bool) -> Tensor:
    """Along the middle axis of [C, n, m]."""
    if radius <= 0:
        return planes
    size = planes.shape[1]
    reach = max(1, math.ceil(3 * radius))
    offsets = torch.arange(-reach, reach + 1)
    weight = torch.exp(-0.5 * (offsets / radius) ** 2)
    weight = (weight / weight.sum()).to(planes.device, planes.dtype)
    index = torch.arange(-reach, size + reach)
    index = index % size if wrap else index.clamp(0, size - 1)
    padded = planes[:, index.to(planes.device)]
    return functional.conv2d(padded[:, None], weight[None, None, :, None])[:, 0]
