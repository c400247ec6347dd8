# SPDX-License-Identifier: Apache-2.0
"""Muon for convolutions: momentum steps whose directions are made orthogonal.

Source: Keller Jordan and others, "Muon: An optimizer for hidden layers", 2024; the step size
follows Liu and others, "Muon is scalable for LLM training", 2025.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalise(matrices: Tensor, num_iterations: int = 5) -> Tensor:
    """Push every singular value of [n, rows, columns] (rows <= columns) towards one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(num_iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Muon over convolution weights of one common shape.

    Args:
        weights: [out, in, 3, 3] parameters, all of the same shape, out <= in * 9.
        lr: step size, comparable to that of Adam.
        momentum: decay of the momentum, Nesterov's form.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], lr: float = 1e-3, momentum: float = 0.95
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take one step from the gradients that are there."""
        for group in self.param_groups:
            weights = group["params"]
            directions = []
            for weight in weights:
                buffer = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                directions.append(weight.grad.lerp(buffer, group["momentum"]).flatten(1))
            stacked = torch.stack(directions)
            rate = group["lr"] * 0.2 * max(stacked.shape[1:]) ** 0.5
            for weight, update in zip(weights, orthogonalise(stacked), strict=True):
                weight.sub_(update.reshape(weight.shape), alpha=rate)
