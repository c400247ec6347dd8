# SPDX-License-Identifier: Apache-2.0
"""One velocity field for the whole picture, blended from windows; and a sampler driven by it.

Every window reads the same state and writes into the same velocity, so that neighbours never drift
apart: there is nothing to stitch afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from pid_core.decoder.windows import add, read, weights, windows
from pid_core.plan.decode import DecodeLayout
from pid_core.samplers.step import SamplerStep, Velocity

FieldOf = Callable[[int], Velocity]
"""Index of a window -> its velocity."""


class BlendedField:
    """Velocity of the whole padded picture.

    Args:
        layout: the windows, in source pixels.
        scale: output pixels per source pixel.
        field_of: makes a window's velocity; called once per window and step.
        device: where the network computes; the state may lie elsewhere.
    """

    def __init__(
        self, layout: DecodeLayout, scale: int, field_of: FieldOf, device: torch.device
    ) -> None:
        self._field_of, self._device = field_of, device
        self._windows = windows(layout, scale)
        self._is_whole = layout.num_windows == 1 and not (layout.x.wraps or layout.y.wraps)
        self._shares = [
            (row, column) for row in weights(layout.y, scale) for column in weights(layout.x, scale)
        ]
        self.shape = (1, 3, layout.y.length_px * scale, layout.x.length_px * scale)

    def __len__(self) -> int:
        return len(self._windows)

    def evaluate(self, x: torch.Tensor, t: float) -> Generator[int, None, torch.Tensor]:
        """Velocity at (x, t), one yield after each window but the last.

        Args:
            x: [1, 3, H, W] float32, the state.
            t: noise level in [0, 1].
        Returns:
            [1, 3, H, W] float32, on the device of the state.
        """
        if self._is_whole:
            return self._field_of(0)(x.to(self._device), t).to(x.device)
        total = torch.zeros_like(x)
        for index, window in enumerate(self._windows):
            part = read(x, window).to(self._device)
            velocity = self._field_of(index)(part, t).to(x.device)
            rows, columns = self._shares[index]
            velocity = velocity * rows.to(x.device).unsqueeze(1) * columns.to(x.device)
            add(total, window, velocity)
            if index + 1 < len(self._windows):
                yield index + 1
        return total


@dataclass(frozen=True)
class Progress:
    """One evaluated window, or one finished step."""

    step: int
    """1-based."""
    steps: int
    """Steps of the run."""
    window: int
    """1-based; the last one finishes the step."""
    sampled: SamplerStep | None = None
    """What the sampler made of the step, once its last window is there."""


SamplerOf = Callable[[Velocity], Iterator[SamplerStep]]
"""Velocity -> a sampler that asks for it exactly once per step, at its current state."""


def drive(
    field: BlendedField, noise: torch.Tensor, timesteps: Sequence[float], sampler_of: SamplerOf
) -> Iterator[Progress]:
    """Run a sampler over a blended field, one yield per window and step.

    The field is evaluated before the sampler asks for it, because only this generator can yield
    between windows.

    Args:
        field: the velocity.
        noise: [1, 3, H, W] float32, the sampler's first state.
        timesteps: the sampler's noise levels.
        sampler_of: makes the sampler.
    """
    current = noise
    steps = sampler_of(lambda _x, _t: current)
    state, total = noise, len(timesteps) - 1
    for number, t in enumerate(timesteps[:-1], start=1):
        evaluation = field.evaluate(state, t)
        while True:
            try:
                done = next(evaluation)
            except StopIteration as finished:
                current = finished.value
                break
            yield Progress(number, total, done)
        sampled = next(steps)
        state = sampled.state
        yield Progress(number, total, len(field), sampled)
