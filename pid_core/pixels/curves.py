# SPDX-License-Identifier: Apache-2.0
"""The sRGB tone curve, continued beyond 0 and 1 so that nothing is lost on the way there and
back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(encoded: Tensor) -> Tensor:
    """sRGB-encoded values of any sign and size to linear light."""
    size = encoded.abs()
    flat = size <= 0.04045
    curve = size.add_(0.055).div_(1.055).pow_(2.4).copysign_(encoded)
    return torch.where(flat, encoded / 12.92, curve)


def to_perceptual(linear: Tensor) -> Tensor:
    """Linear light of any sign and size to sRGB-encoded values."""
    size = linear.abs()
    flat = size <= 0.0031308
    curve = size.pow_(1 / 2.4).mul_(1.055).sub_(0.055).copysign_(linear)
    return torch.where(flat, linear * 12.92, curve)
