# SPDX-License-Identifier: Apache-2.0
"""Noise levels that the samplers go through, from 1 (noise) down to 0 (image). No torch here."""

from __future__ import annotations

import math

from pid_core.errors import InvalidOptions

STUDENT_TIMESTEPS = (0.999, 0.866, 0.634, 0.342, 0.0)
"""What every distilled checkpoint was trained on: four transitions.

Source: nv-tlabs/PiD 2c8814c, model_config student_t_list
"""
_ONE_STEP_TIMESTEPS = (1.0, 0.0)
_CLEAN = 0.001
"""Where the undistilled schedule ends before it is shifted and turned around."""


def student_timesteps(num_steps: int) -> tuple[float, ...]:
    """Noise levels for a distilled network.

    Args:
        num_steps: 1 to 4. Fewer than 4 skip trained levels; one step starts from pure noise.
    Returns:
        num_steps + 1 levels, the last of them 0.
    Raises:
        InvalidOptions: there are not that many trained transitions.
    """
    trained = len(STUDENT_TIMESTEPS) - 1
    if not 1 <= num_steps <= trained:
        raise InvalidOptions(
            f"distilled weights know {trained} steps; {num_steps} would repeat some of them",
            hint=f"choose 1 to {trained} steps, or undistilled weights for more",
        )
    if num_steps == 1:
        return _ONE_STEP_TIMESTEPS
    # round() goes to the even neighbour at .5, as the official selection does
    return tuple(STUDENT_TIMESTEPS[round(i * trained / num_steps)] for i in range(num_steps + 1))


def flow_timesteps(num_steps: int, shift: float) -> tuple[float, ...]:
    """Noise levels for DPM-Solver++ on an undistilled network.

    Args:
        num_steps: at least 1.
        shift: above 1 spends more steps at high noise, as large images need.
    Returns:
        num_steps + 1 levels, the last of them 0; the first is a little below 1.
    Raises:
        InvalidOptions: no steps, or a shift that is not positive.
    Source: nv-tlabs/PiD 2c8814c, the `time_uniform_flow` spacing of its DPM-Solver
    """
    if num_steps < 1 or not (shift > 0 and math.isfinite(shift)):
        raise InvalidOptions(f"{num_steps} steps with shift {shift} make no schedule")

    def level(i: int) -> float:
        even = (1 - _CLEAN) * (num_steps - i) / num_steps
        return shift * even / (1 + (shift - 1) * even)

    return tuple(level(i) for i in range(num_steps + 1))


def dynamic_shift(height: int, width: int, base: float, reference_px: int) -> float:
    """Shift that grows with the image: `base` at reference_px squared, by the fourth root of area.

    Args:
        height: image height in pixels.
        width: image width in pixels.
        base: 4 for v1 `2kto4k`; 6 for v1.5 and text-to-image.
        reference_px: 1024 for v1 `2kto4k`; 2048 for v1.5 and text-to-image.
    """
    return base * math.sqrt(math.sqrt(height * width) / reference_px)
