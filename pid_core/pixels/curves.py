# SPDX-License-Identifier: Apache-2.0
"""The sRGB tone curve, continued beyond 0 and 1 so that nothing is lost on the way there and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(encoded: Tensor) -> Tensor:
    """sRGB-encoded values of any sign and size to linear light."""
    size = encoded.abs()
    curve = ((size + 0.055) / 1.055).pow_(2.4)
    return torch.where(size <= 0.04045, encoded / 12.92, curve.copysign_(encoded))


def to_perceptual(linear: Tensor) -> Tensor:
    """Linear light of any sign and size to sRGB-encoded values."""
    size = linear.abs()
    curve = size.clamp_min(0.0031308).pow_(1 / 2.4).mul_(1.055).sub_(0.055)
    return torch.where(size <= 0.0031308, linear * 12.92, curve.copysign_(linear))
