# SPDX-License-Identifier: Apache-2.0
"""Sampler of the distilled networks: predict the image, put some noise back, repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from pid_core.errors import InvalidOptions
from pid_core.samplers.step import PREDICTIONS, SamplerStep, Velocity

KINDS = ("sde", "ode")
_LEAST_T = 0.05
"""Divisor's floor where an x0 prediction is turned into a velocity."""


def sample_student(
    velocity: Velocity,
    noise: torch.Tensor,
    timesteps: Sequence[float],
    *,
    renoise: Callable[[], torch.Tensor],
    kind: str = "sde",
    prediction: str = "velocity",
) -> Iterator[SamplerStep]:
    """Go through the trained noise levels, one yield after each.

    Args:
        velocity: the network's output for (x_t, t).
        noise: [B, 3, H, W] float32, standard normal, the first state.
        timesteps: made by `student_timesteps`.
        renoise: gives fresh noise like `noise`; called once for each level that another one follows
            (three times in four steps), and never by `ode`.
        kind: `sde` predicts the image and noises it again, as trained; `ode` follows the velocity.
        prediction: what `velocity` really returns, `velocity` or `x0`.
    Yields:
        SamplerStep; the last one's state is the image.
    Raises:
        InvalidOptions: `kind` or `prediction` is none of the above.
    Source: nv-tlabs/PiD 2c8814c, models/pid_distill_model_infer.py::_student_sample_loop
    """
    if kind not in KINDS or prediction not in PREDICTIONS:
        raise InvalidOptions(
            f"no student sampler {kind!r} for {prediction!r} predictions",
            hint=f"kinds: {', '.join(KINDS)}; predictions: {', '.join(PREDICTIONS)}",
        )
    x, total = noise, len(timesteps) - 1
    for index, (t, next_t) in enumerate(zip(timesteps, timesteps[1:], strict=False), start=1):
        output = velocity(x, t).float()
        x0 = output if prediction == "x0" else x - t * output
        if kind == "ode":
            slope = (x - x0) / max(t, _LEAST_T) if prediction == "x0" else output
            x = x + (next_t - t) * slope
        else:
            x = (1 - next_t) * x0 + next_t * renoise() if next_t > 0 else x0
        yield SamplerStep(index, total, t, x0, x)
