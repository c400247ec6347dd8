# SPDX-License-Identifier: Apache-2.0
"""Samplers on velocity fields whose images are known, and the numbers of their schedules."""

from __future__ import annotations

import math

import pytest
import torch

from pid_core.errors import InvalidOptions
from pid_core.samplers.dpm_solver import sample_dpm_solver
from pid_core.samplers.guidance import guided
from pid_core.samplers.latent_noise import add_noise, from_variance_exploding
from pid_core.samplers.noise import latent_stream, pixel_stream
from pid_core.samplers.schedule import (
    STUDENT_TIMESTEPS,
    dynamic_shift,
    flow_timesteps,
    student_timesteps,
)
from pid_core.samplers.student import sample_student

SHAPE = (1, 3, 4, 4)
IMAGE = pixel_stream(3).draw(SHAPE)
NOISE = pixel_stream(4).draw(SHAPE)


def no_noise() -> torch.Tensor:
    """For samplers that must not ask for any."""
    raise AssertionError("noise was drawn")


def towards_image(x: torch.Tensor, t: float) -> torch.Tensor:
    """The velocity at x of the straight path from IMAGE at 0 through x at t."""
    return (x - IMAGE) / t


def gaussian(x: torch.Tensor, t: float) -> torch.Tensor:
    """The exact velocity when images are normal with a standard deviation of 1/2 around 0."""
    variance = 0.25 * (1 - t) ** 2 + t**2
    return x * (t - 0.25 * (1 - t)) / variance


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["sde", "ode"])
@pytest.mark.parametrize("prediction", ["velocity", "x0"])
def test_student_arrives_at_a_known_image(num_steps: int, kind: str, prediction: str) -> None:
    field = towards_image if prediction == "velocity" else lambda x, t: IMAGE
    draws = pixel_stream(5)
    steps = list(
        sample_student(
            field,
            NOISE,
            student_timesteps(num_steps),
            renoise=(lambda: draws.draw(SHAPE)) if kind == "sde" else no_noise,
            kind=kind,
            prediction=prediction,
        )
    )
    assert [step.index for step in steps] == list(range(1, num_steps + 1))
    assert {step.total for step in steps} == {num_steps}
    for step in steps:
        torch.testing.assert_close(step.x0, IMAGE, rtol=0, atol=1e-5)
    torch.testing.assert_close(steps[-1].state, IMAGE, rtol=0, atol=1e-5)


def test_student_mixes_fresh_noise_in_between_steps() -> None:
    fresh = [pixel_stream(seed).draw(SHAPE) for seed in (10, 11, 12)]
    supply = iter(fresh)
    steps = sample_student(towards_image, NOISE, STUDENT_TIMESTEPS, renoise=lambda: next(supply))
    for step, noise, t in zip(steps, fresh, STUDENT_TIMESTEPS[1:4], strict=False):
        torch.testing.assert_close(step.state, (1 - t) * IMAGE + t * noise, rtol=0, atol=1e-5)


def test_student_refuses_steps_it_was_not_trained_on() -> None:
    for num_steps in (0, 5, 8):
        with pytest.raises(InvalidOptions, match="4 steps"):
            student_timesteps(num_steps)


def test_student_refuses_unknown_kinds() -> None:
    with pytest.raises(InvalidOptions, match="'euler'"):
        next(sample_student(gaussian, NOISE, STUDENT_TIMESTEPS, renoise=no_noise, kind="euler"))


def test_student_steps_skip_trained_levels() -> None:
    assert student_timesteps(4) == STUDENT_TIMESTEPS == (0.999, 0.866, 0.634, 0.342, 0.0)
    assert student_timesteps(3) == (0.999, 0.866, 0.342, 0.0)
    assert student_timesteps(2) == (0.999, 0.634, 0.0)
    assert student_timesteps(1) == (1.0, 0.0)


def error_of_dpm_solver(num_steps: int) -> float:
    """Distance to the exact end of the Gaussian flow, whose states scale with their deviation."""
    steps = flow_timesteps(num_steps, 1.0)
    *_, last = sample_dpm_solver(gaussian, NOISE, steps)
    start = math.sqrt(0.25 * (1 - steps[0]) ** 2 + steps[0] ** 2)
    return float((last.state - NOISE * 0.5 / start).abs().max())


def test_dpm_solver_converges_with_second_order() -> None:
    coarse, fine = error_of_dpm_solver(40), error_of_dpm_solver(160)
    assert fine < 1e-3
    assert coarse / fine > 10  # first order would give 4


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_dpm_solver_is_exact_for_a_known_image(num_steps: int) -> None:
    steps = list(sample_dpm_solver(towards_image, NOISE, flow_timesteps(num_steps, 6.0)))
    assert len(steps) == num_steps
    torch.testing.assert_close(steps[-1].state, IMAGE, rtol=0, atol=1e-4)


def test_dpm_solver_takes_predicted_images() -> None:
    timesteps = flow_timesteps(6, 3.0)
    velocities = list(sample_dpm_solver(gaussian, NOISE, timesteps))
    images = list(
        sample_dpm_solver(lambda x, t: x - t * gaussian(x, t), NOISE, timesteps, prediction="x0")
    )
    torch.testing.assert_close(images[-1].state, velocities[-1].state)
    with pytest.raises(InvalidOptions, match="'noise'"):
        next(sample_dpm_solver(gaussian, NOISE, timesteps, prediction="noise"))


def test_flow_timesteps_start_near_one_and_end_at_zero() -> None:
    plain, shifted = flow_timesteps(10, 1.0), flow_timesteps(10, 6.0)
    assert plain[0] == pytest.approx(0.999)
    assert plain[-1] == shifted[-1] == 0
    assert all(a > b for a, b in zip(shifted, shifted[1:], strict=False))
    assert shifted[5] == pytest.approx(6 * plain[5] / (1 + 5 * plain[5]))
    for num_steps, shift in ((0, 6.0), (4, 0.0), (4, -1.0), (4, math.inf)):
        with pytest.raises(InvalidOptions):
            flow_timesteps(num_steps, shift)


def test_dynamic_shift_grows_with_the_fourth_root_of_area() -> None:
    assert dynamic_shift(2048, 2048, 6, 2048) == pytest.approx(6)
    assert dynamic_shift(4096, 4096, 6, 2048) == pytest.approx(8.485, abs=1e-3)
    assert dynamic_shift(2048, 2048, 4, 1024) == pytest.approx(5.657, abs=1e-3)
    assert dynamic_shift(1024, 4096, 6, 2048) == pytest.approx(6)


def test_guidance_extrapolates_and_skips_the_negative_prompt_at_one() -> None:
    def ones(x: torch.Tensor, t: float) -> torch.Tensor:
        return torch.ones_like(x)

    def unwanted(x: torch.Tensor, t: float) -> torch.Tensor:
        raise AssertionError("the negative prompt was evaluated")

    assert guided(ones, unwanted, 1.0) is ones
    both = guided(ones, lambda x, t: torch.full_like(x, 0.25), 5.0)
    torch.testing.assert_close(both(NOISE, 0.5), torch.full(SHAPE, 0.25 + 5 * 0.75))


def test_seeds_repeat_and_latent_noise_is_its_own_stream() -> None:
    pixels, latents = pixel_stream(42), latent_stream(42)
    first, second = pixels.draw((1000,)), pixels.draw((1000,))
    assert torch.equal(first, pixel_stream(42).draw((1000,)))
    official = torch.randn(1000, generator=torch.Generator().manual_seed(42))
    assert torch.equal(first, official)
    ours = latents.draw((1000,))
    assert torch.equal(ours, latent_stream(42).draw((1000,)))
    for other in (first, second, latent_stream(43).draw((1000,))):
        correlation = torch.corrcoef(torch.stack((ours, other)))[0, 1]
        assert abs(correlation) < 0.12  # 1000 independent pairs stay within 0.12 in 9999 of 10000


def test_noised_latents_keep_their_frame() -> None:
    latent, noise = pixel_stream(1).draw((1, 4, 64, 64)), latent_stream(1).draw((1, 4, 64, 64))
    assert torch.equal(add_noise(latent, noise, 0.0), latent)
    torch.testing.assert_close(add_noise(latent, noise, 0.25), 0.75 * latent + 0.25 * noise)
    preserved = add_noise(latent, noise, 0.6, "variance_preserving")
    torch.testing.assert_close(preserved, 0.8 * latent + 0.6 * noise)
    assert float(preserved.std()) == pytest.approx(1, abs=0.03)
    for sigma, frame in ((-0.1, "flow"), (1.1, "flow"), (0.5, "euler")):
        with pytest.raises(InvalidOptions):
            add_noise(latent, noise, sigma, frame)


def test_exploding_latents_are_brought_to_unit_variance() -> None:
    latent, noise = pixel_stream(1).draw((1, 4, 64, 64)), latent_stream(1).draw((1, 4, 64, 64))
    exploding = latent + 0.75 * noise
    ours, sigma = from_variance_exploding(exploding, 0.75)
    assert sigma == pytest.approx(0.6)
    torch.testing.assert_close(ours, add_noise(latent, noise, sigma, "variance_preserving"))
    with pytest.raises(InvalidOptions, match="-1"):
        from_variance_exploding(latent, -1)
