# SPDX-License-Identifier: Apache-2.0
"""DPM-Solver++(2M) in its flow form: the sampler of the undistilled networks and of PixelDiT."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from pid_core.errors import InvalidOptions
from pid_core.samplers.step import PREDICTIONS, SamplerStep, Velocity


def sample_dpm_solver(
    velocity: Velocity,
    noise: torch.Tensor,
    timesteps: Sequence[float],
    *,
    prediction: str = "velocity",
) -> Iterator[SamplerStep]:
    """Solve the flow with a second-order multistep method, first order at both ends.

    Args:
        velocity: the network's output for (x_t, t), guidance included.
        noise: [B, 3, H, W] float32, standard normal, the first state (taken as t = 1).
        timesteps: made by `flow_timesteps`.
        prediction: what `velocity` really returns, `velocity` or `x0`.
    Yields:
        SamplerStep; the last one's state is the image.
    Raises:
        InvalidOptions: `prediction` is none of the above.
    Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2, with alpha = 1 - t and sigma = t. The
        image is predicted directly: going by way of the noise, as the official code does, cancels
        near t = 1.
    """
    if prediction not in PREDICTIONS:
        raise InvalidOptions(f"a network predicts {' or '.join(PREDICTIONS)}, not {prediction!r}")
    x, total = noise, len(timesteps) - 1
    previous_x0, previous_h = None, 0.0
    for index, (t, next_t) in enumerate(zip(timesteps, timesteps[1:], strict=False), start=1):
        output = velocity(x, t).float()
        x0 = output if prediction == "x0" else x - t * output
        h = _log_snr_half(next_t) - _log_snr_half(t)
        direction = x0
        if previous_x0 is not None and index < total:
            direction = x0 + (x0 - previous_x0) * (h / (2 * previous_h))
        x = (next_t / t) * x - (1 - next_t) * math.expm1(-h) * direction
        previous_x0, previous_h = x0, h
        yield SamplerStep(index, total, t, x0, x)


def _log_snr_half(t: float) -> float:
    """Half the logarithm of the signal-to-noise ratio; infinite for a clean image."""
    return math.inf if t == 0 else math.log((1 - t) / t)
