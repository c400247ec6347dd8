# SPDX-License-Identifier: Apache-2.0
"""Transparency: colour is bled outward before an engine sees it, alpha is enlarged with its edges
kept crisp."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pid_core.pixels.resample import Axis, resample

_TRUSTED = 8 / 255
"""Alpha from which a pixel's own colour counts in full: below, 8-bit un-premultiplying leaves
little of it."""
_ROUNDS = 3
"""Back-projections: after each, the enlarged alpha averages closer to the source's."""
_REACH_PX = 16
"""Source pixels beyond which an enlarged row depends on nothing."""
_BAND_PX = 1 << 21
"""Result pixels that are worked on at a time."""


def bled(colours: Tensor, alpha: Tensor) -> Tensor:
    """Fill what is hidden with the visible colour around it, smoothly; visible pixels stay as they
    are.

    Args:
        colours: [C, h, w].
        alpha: [h, w] in [0, 1].
    """
    if bool((alpha >= _TRUSTED).all()):
        return colours
    around = _pull_push(colours * alpha, alpha[None])
    own = (alpha / _TRUSTED).clamp_max(1)
    return around + (colours - around) * own


def enlarged(alpha: Tensor, x: Axis, y: Axis) -> Tensor:
    """Resample alpha to [y.size_out, x.size_out] in [0, 1]; hard edges stay hard, soft ones
    soft."""
    if x.is_crop and y.is_crop:
        return resample(alpha[None], x, y)[0]
    low, high = float(alpha.min()), float(alpha.max())
    if low == high:
        return alpha.new_full((y.size_out, x.size_out), low)
    rows = max(1, min(y.size_out, _BAND_PX // x.size_out))
    if rows >= y.size_out or y.wrap:
        return _enlarged(alpha, x, y)
    done = alpha.new_empty(y.size_out, x.size_out)
    for top in range(0, y.size_out, rows):
        bottom = min(y.size_out, top + rows)
        first = max(0, int(y.start + top * y.step) - _REACH_PX)
        last = min(y.size_in, int(y.start + bottom * y.step) + 1 + _REACH_PX)
        # The band's own output starts a little earlier, on a whole output row.
        lead = min(top, int(_REACH_PX / y.step))
        tail = min(y.size_out - bottom, int(_REACH_PX / y.step))
        start = y.start + (top - lead) * y.step - first
        count = lead + bottom - top + tail
        part = Axis(last - first, count, start, count * y.step)
        done[top:bottom] = _enlarged(alpha[first:last], x, part)[lead : lead + bottom - top]
    return done


def _enlarged(alpha: Tensor, x: Axis, y: Axis) -> Tensor:
    plane = alpha[None]
    smooth = resample(plane, x, y).clamp(0, 1)
    if x.step >= 1 and y.step >= 1:
        return smooth[0]
    low = -_neighbourhood(-plane, x.wrap, y.wrap)
    high = _neighbourhood(plane, x.wrap, y.wrap)
    # A step of half the range within three pixels is an edge; anything gentler is a gradient.
    edge = ((high - low - 0.3) / 0.4).clamp(0, 1)
    low, high, edge = (_grown(part, x, y) for part in (low, high, edge))
    span = (high - low).clamp_min(1e-6)
    slope = 1 + edge * (1 / max(x.step, y.step) - 1)
    crisp = low + span * (((smooth - low) / span - 0.5) * slope + 0.5).clamp(0, 1)
    crisp = torch.where(span > 1e-3, crisp, smooth)
    target = _averaged(smooth, x, y)
    wanted = _source_part(plane, x, y, target.shape)
    for _ in range(_ROUNDS):
        lack = wanted - _averaged(crisp, x, y)
        crisp = torch.minimum(torch.maximum(crisp + _spread(lack, crisp.shape), low), high)
    return crisp[0].clamp(0, 1)


def _grid(x: Axis, y: Axis) -> tuple[int, int]:
    """Source pixels that the output covers, rounded."""
    return (
        max(1, min(y.size_out, round(y.step * y.size_out))),
        max(1, min(x.size_out, round(x.step * x.size_out))),
    )


def _averaged(plane: Tensor, x: Axis, y: Axis) -> Tensor:
    height, width = _grid(x, y)
    return resample(plane, Axis(plane.shape[2], width), Axis(plane.shape[1], height), kernel="area")


def _source_part(plane: Tensor, x: Axis, y: Axis, shape: torch.Size) -> Tensor:
    across = Axis(x.size_in, shape[2], x.start, x.step * x.size_out, x.wrap)
    down = Axis(y.size_in, shape[1], y.start, y.step * y.size_out, y.wrap)
    return resample(plane, across, down)


def _spread(plane: Tensor, shape: torch.Size) -> Tensor:
    return resample(plane, Axis(plane.shape[2], shape[2]), Axis(plane.shape[1], shape[1]))


def _grown(plane: Tensor, x: Axis, y: Axis) -> Tensor:
    return resample(plane, x, y).clamp(0, 1)


def _neighbourhood(plane: Tensor, wrap_x: bool, wrap_y: bool) -> Tensor:
    """Largest value among the 3 x 3 pixels around each one."""
    padded = functional.pad(plane[None], (1, 1, 0, 0), mode="circular" if wrap_x else "replicate")
    padded = functional.pad(padded, (0, 0, 1, 1), mode="circular" if wrap_y else "replicate")
    return functional.max_pool2d(padded, 3, stride=1)[0]


def _pull_push(weighted: Tensor, weight: Tensor) -> Tensor:
    """Fill [C, h, w] (premultiplied by `weight`, [1, h, w]) from ever coarser averages."""
    height, width = weight.shape[1:]
    if height == 1 and width == 1:
        return weighted / weight.clamp_min(1e-6)
    odd = (0, width % 2, 0, height % 2)
    small = functional.avg_pool2d(functional.pad(weighted, odd), 2)
    small_weight = functional.avg_pool2d(functional.pad(weight, odd), 2)
    # Weights saturate: an area that has colour somewhere passes it on undiluted.
    gain = small_weight.clamp_max(0.25) * 4 / small_weight.clamp_min(1e-6)
    coarse = _pull_push(small * gain, small_weight * gain)
    spread = functional.interpolate(coarse[None], size=(height, width), mode="bilinear")[0]
    return weighted + spread * (1 - weight)
