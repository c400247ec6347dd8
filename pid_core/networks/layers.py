# SPDX-License-Identifier: Apache-2.0
"""Layers that patch and pixel blocks share, and the rule for where float32 is kept.

The *compute dtype* of a network is the dtype of its weights. Matrix products and convolutions run
in it; everything that is summed up or compared across tokens stays float32: the residual streams,
norm statistics, rotations, sigma.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

RMS_EPS = 1e-6


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis: float32 inside, a learned scale, no centring."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
        """[..., size] of any float dtype -> [..., size] float32, times `gain`."""
        return F.rms_norm(x.float(), x.shape[-1:], self.weight.float() * gain, RMS_EPS)


class SwiGlu(nn.Module):
    """Gated feed-forward layer of a patch block, without biases."""

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(size, inner_size, bias=False)
        self.w2 = nn.Linear(inner_size, size, bias=False)
        self.w3 = nn.Linear(size, inner_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., size] -> [..., size]."""
        return self.w2(F.silu(self.w1(x)).mul_(self.w3(x)))


def modulated_norm(
    x: torch.Tensor, norm: RmsNorm, shift: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """`norm(x) * (1 + scale) + shift`, computed in float32.

    Args:
        x: [..., size] float32, a residual stream.
        norm: its weight is folded into the scale, which saves one pass over `x`.
        shift: broadcastable to `x`, in the compute dtype.
        scale: broadcastable to `x`, in the compute dtype.
    Returns:
        [..., size] in the dtype of `shift`, ready for a matrix product.
    """
    normed = F.rms_norm(x, x.shape[-1:], None, RMS_EPS)
    factor = norm.weight.float() * (1 + scale.float())
    return torch.addcmul(shift.float(), normed, factor).to(shift.dtype)


def linear_float32(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Apply a small layer at the network's doors in float32, whatever its weights are stored as.

    Noisy images and finished velocities would otherwise carry a bfloat16 rounding of their own.
    """
    bias = None if layer.bias is None else layer.bias.float()
    return F.linear(x.float(), layer.weight.float(), bias)


def token_chunks(length: int, chunk: int) -> Iterator[slice]:
    """Cut `length` tokens into runs of at most `chunk`, in order."""
    for start in range(0, length, chunk):
        yield slice(start, min(start + chunk, length))
