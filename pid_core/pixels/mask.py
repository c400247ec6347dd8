# SPDX-License-Identifier: Apache-2.0
"""A selection's coverage and how its result fades into its surroundings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def feathered(mask: Tensor, feather_px: int) -> Tensor:
    """Let coverage fall to 0 at the selection's edge over `feather_px` pixels, inwards only.

    Nothing outside the selection is touched, and a border of the picture is no edge. A selection
    too thin for the feather gets a narrower one rather than vanish.

    Args:
        mask: [h, w] coverage in [0, 1] of the whole picture.
        feather_px: 0 = as it is.
    """
    while feather_px > 1:
        plane = mask[None, None]
        half = (feather_px + 1) // 2
        core = -_largest(-plane, half)
        if float(core.max()) >= 0.5 * float(mask.max()):
            for radius in (half - half // 2, half // 2):
                core = _box(core, radius)
            return torch.minimum(core[0, 0], mask)
        feather_px //= 2
    return mask


def _largest(plane: Tensor, radius: int) -> Tensor:
    for pad, window in (
        ((radius, radius, 0, 0), (1, 2 * radius + 1)),
        ((0, 0, radius, radius), (2 * radius + 1, 1)),
    ):
        plane = functional.max_pool2d(
            functional.pad(plane, pad, mode="replicate"), window, stride=1
        )
    return plane


def _box(plane: Tensor, radius: int) -> Tensor:
    if radius < 1:
        return plane
    for pad, window in (
        ((radius, radius, 0, 0), (1, 2 * radius + 1)),
        ((0, 0, radius, radius), (2 * radius + 1, 1)),
    ):
        plane = functional.avg_pool2d(
            functional.pad(plane, pad, mode="replicate"), window, stride=1
        )
    return plane
