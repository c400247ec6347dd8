# SPDX-License-Identifier: Apache-2.0
"""What a sampler calls and what it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Velocity = Callable[[torch.Tensor, float], torch.Tensor]
"""(x_t [B, 3, H, W] float32, t in [0, 1]) -> noise minus image, of the same shape."""

PREDICTIONS = ("velocity", "x0")
"""What a network's output means; every released one predicts the velocity."""


@dataclass(frozen=True)
class SamplerStep:
    """One finished step of a sampler."""

    index: int
    """1-based."""
    total: int
    """Steps of the whole run."""
    t: float
    """Noise level at which the network was called, in (0, 1]."""
    x0: torch.Tensor
    """[B, 3, H, W] float32, the clean image as this step sees it; not clamped."""
    state: torch.Tensor
    """[B, 3, H, W] float32 after the step; after the last one it is the result, not clamped."""
