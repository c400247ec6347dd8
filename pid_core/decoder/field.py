# SPDX-License-Identifier: Apache-2.0
"""One velocity field for the whole picture, blended from windows; and a sampler driven by it.

Every window reads the same state and writes into the same velocity, so that neighbours never drift
apart: there is nothing to stitch afterwards.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from pid_core.decoder.windows import add, read, weights, windows
from pid_core.generators import each
from pid_core.plan.decode import DecodeLayout
from pid_core.samplers.step import SamplerStep, Velocity

Evaluate = Callable[[torch.Tensor, float], Generator[float, None, torch.Tensor]]
"""(x, t) -> the velocity, by a generator that yields the part of the call that is done."""
FieldOf = Callable[[int], Evaluate]
"""Index of a window -> how its velocity is computed."""


class BlendedField:
    """Velocity of the whole padded picture.

    Args:
        layout: the windows, in source pixels.
        scale: output pixels per source pixel.
        field_of: how a window's velocity is computed; called once per window and step.
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

    def evaluate(
        self, x: torch.Tensor, t: float
    ) -> Generator[tuple[int, float], None, torch.Tensor]:
        """Velocity at (x, t), with the yields of every window's evaluation.

        Args:
            x: [1, 3, H, W] float32, the state.
            t: noise level in [0, 1].
        Yields:
            (window that is computed, 1-based; part of the whole evaluation that is done).
        Returns:
            [1, 3, H, W] float32, on the device of the state.
        """
        if self._is_whole:
            return (yield from self._window(0, x, t))
        total = torch.zeros_like(x)
        for index, window in enumerate(self._windows):
            velocity = yield from self._window(index, read(x, window), t)
            rows, columns = self._shares[index]
            velocity = velocity * rows.to(x.device).unsqueeze(1) * columns.to(x.device)
            add(total, window, velocity)
        return total

    def _window(
        self, index: int, part: torch.Tensor, t: float
    ) -> Generator[tuple[int, float], None, torch.Tensor]:
        work = self._field_of(index)(part.to(self._device), t)
        velocity = yield from each(work, lambda done: (index + 1, (index + done) / len(self)))
        return velocity.to(part.device)


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    """1-based, the one that is computed."""
    steps: int
    """Steps of the run."""
    window: int
    """1-based, the one that is computed."""
    fraction: float
    """Part of the run that is done, in (0, 1]."""
    sampled: SamplerStep | None = None
    """What the sampler made of the step, once its last window is there."""


SamplerOf = Callable[[Velocity], Iterator[SamplerStep]]
"""Velocity -> a sampler that asks for it exactly once per step, at its current state."""


def drive(
    field: BlendedField, noise: torch.Tensor, timesteps: Sequence[float], sampler_of: SamplerOf
) -> Iterator[Progress]:
    """Run a sampler over a blended field, one yield for each part of a window and each step.

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
        current = yield from each(evaluation, functools.partial(_progress, number, total))
        sampled = next(steps)
        state = sampled.state
        yield Progress(number, total, len(field), number / total, sampled)


def _progress(step: int, steps: int, part: tuple[int, float]) -> Progress:
    window, done = part
    return Progress(step, steps, window, (step - 1 + done) / steps)
