# SPDX-License-Identifier: Apache-2.0
"""What a golden check measures: figures with gates, and how two tensors are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
Metadata = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One number that was measured, and what it may be at most."""

    name: str
    value: float
    gate: float

    @property
    def is_met(self) -> bool:
        """False for NaN too."""
        return self.value <= self.gate

    @property
    def strain(self) -> float:
        """Value over gate; infinite if it had to be 0 and is not, or is NaN."""
        if self.value != self.value:
            return float("inf")
        return self.value / self.gate if self.gate else float("inf") * bool(self.value)


def relative_rms(ours: torch.Tensor, golden: torch.Tensor) -> float:
    """RMS of the difference over RMS of the golden tensor."""
    difference = (ours.double() - golden.double()).square().mean().sqrt()
    return float(difference / golden.double().square().mean().sqrt())


def max_abs(ours: torch.Tensor, golden: torch.Tensor) -> float:
    """Largest difference; infinite when the shapes differ."""
    if ours.shape != golden.shape:
        return float("inf")
    return float((ours.double() - golden.double()).abs().max())
