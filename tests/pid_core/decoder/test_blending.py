# SPDX-License-Identifier: Apache-2.0
"""Windows over one state: exact where they must be, seamless where they blend."""

from __future__ import annotations

import math
from collections.abc import Generator

import pytest
import torch

from pid_core.decoder.field import BlendedField, Evaluate, drive
from pid_core.decoder.windows import add, read, weights, windows
from pid_core.generators import result_of
from pid_core.plan.decode import WindowLimits, decode_layout
from pid_core.samplers.noise import pixel_stream
from pid_core.samplers.schedule import student_timesteps
from pid_core.samplers.step import Velocity
from pid_core.samplers.student import sample_student

SCALE = 4
LIMITS = WindowLimits(
    min_area_px=1024, max_area_px=4096, max_side_px=96, max_aspect=16 / 9, granule_px=8
)


def _at_once(velocity: Velocity) -> Evaluate:
    """A velocity as a field wants it: two yields, and the answer."""

    def evaluate(x: torch.Tensor, t: float) -> Generator[float, None, torch.Tensor]:
        yield 0.5
        answer = velocity(x, t)
        yield 1.0
        return answer

    return evaluate


def _decode(layout, field_of, seed: int = 0) -> torch.Tensor:
    field = BlendedField(
        layout, SCALE, lambda index: _at_once(field_of(index)), torch.device("cpu")
    )
    stream = pixel_stream(seed)
    noise, timesteps = stream.draw(field.shape), student_timesteps(4)

    def sampler(velocity):
        return sample_student(velocity, noise, timesteps, renoise=lambda: stream.draw(field.shape))

    course = list(drive(field, noise, timesteps, sampler))
    fractions = [progress.fraction for progress in course]
    assert fractions == sorted(fractions) and fractions[-1] == 1 < len(course)
    assert [one.step for one in course if one.sampled] == [1, 2, 3, 4]
    assert {one.window for one in course} == set(range(1, layout.num_windows + 1))
    return course[-1].sampled.state


@pytest.mark.parametrize("wrap", ["none", "x", "y", "both"])
@pytest.mark.parametrize(
    ("width", "height"), [(40, 40), (64, 64), (200, 40), (136, 120), (17, 300), (8, 8), (64, 72)]
)
def test_windows_cover_and_their_shares_sum_to_one(width: int, height: int, wrap: str) -> None:
    if wrap in ("x", "both"):
        width = -(-width // 8) * 8
    if wrap in ("y", "both"):
        height = -(-height // 8) * 8
    layout = decode_layout(width, height, LIMITS, tile_px=48, overlap_px=8, wrap=wrap)
    assert layout.x.length_px >= width and layout.y.length_px >= height
    assert layout.window_area_px >= LIMITS.min_area_px
    assert max(layout.x.window_px, layout.y.window_px) <= LIMITS.max_side_px
    total = torch.zeros(layout.y.length_px, layout.x.length_px)
    shares = [(row, column) for row in weights(layout.y, 1) for column in weights(layout.x, 1)]
    for window, (row, column) in zip(windows(layout), shares, strict=True):
        assert window.x % 8 == window.y % 8 == 0
        add(total, window, row.unsqueeze(1) * column)
    assert torch.allclose(total, torch.ones_like(total), atol=3e-7)


def test_a_window_wraps_around(tmp_path) -> None:
    layout = decode_layout(16, 16, LIMITS, tile_px=32, overlap_px=8, wrap="both")
    (window,) = windows(layout)
    assert window.width > 16
    picture = torch.arange(256.0).view(1, 1, 16, 16)
    part = read(picture, window)
    assert torch.equal(part[..., :16, :16], picture)
    assert torch.equal(part[..., :16, 16:32], picture[..., : part.shape[-1] - 16])


@pytest.mark.parametrize("wrap", ["none", "both"])
def test_tiled_equals_whole_for_an_analytic_field(wrap: str) -> None:
    # velocity of a Gaussian around 0.3: depends on each pixel alone, so any cut must agree
    def gaussian(x: torch.Tensor, t: float) -> torch.Tensor:
        spread = 0.2**2
        slope = (t - spread * (1 - t)) / ((1 - t) ** 2 * spread + t**2)
        return -0.3 + slope * (x - 0.3 * (1 - t))

    whole = decode_layout(64, 64, LIMITS, tile_px=64, overlap_px=8, wrap="none")
    tiled = decode_layout(64, 64, LIMITS, tile_px=36, overlap_px=8, wrap=wrap)
    assert whole.num_windows == 1 < tiled.num_windows
    difference = _decode(whole, lambda _: gaussian) - _decode(tiled, lambda _: gaussian)
    assert difference.abs().max() <= 2e-6


def test_one_window_gives_the_same_bytes_by_both_paths() -> None:
    layout = decode_layout(48, 48, LIMITS, tile_px=48, overlap_px=8)

    def wavy(x: torch.Tensor, t: float) -> torch.Tensor:
        return torch.sin(3 * x + t)

    direct = BlendedField(layout, SCALE, lambda _: _at_once(wavy), torch.device("cpu"))
    blended = BlendedField(layout, SCALE, lambda _: _at_once(wavy), torch.device("cpu"))
    blended._is_whole = False
    x = torch.randn(direct.shape)
    assert torch.equal(*(result_of(field.evaluate(x, 0.5)) for field in (direct, blended)))


def test_borders_of_a_random_network_are_no_seams() -> None:
    # each window filters with kernels of its own: the worst disagreement there can be
    kernels = [
        torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(i)) / 9 for i in range(64)
    ]

    def random_network(index: int):
        def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
            return torch.tanh(torch.nn.functional.conv2d(x, kernels[index], padding=4))

        return velocity

    layout = decode_layout(128, 128, LIMITS, tile_px=40, overlap_px=8)
    assert layout.num_windows > 4
    tiled = _decode(layout, random_network)
    whole = _decode(
        decode_layout(
            128, 128, WindowLimits(1024, 128 * 128, 128, 2.0, 8), tile_px=128, overlap_px=8
        ),
        random_network,
    )
    edges = {start * SCALE for start in layout.x.starts_px}
    edges |= {(start + layout.x.window_px) * SCALE for start in layout.x.starts_px}
    edges -= {0, 512}

    def gradient(picture: torch.Tensor) -> torch.Tensor:
        return picture.diff(dim=-1).abs().mean((0, 1, 2))

    at_edges = [edge - 1 for edge in sorted(edges)]
    excess = gradient(tiled)[at_edges].mean() / gradient(whole).mean()
    assert excess <= 1.02


def test_limits_of_the_released_networks() -> None:
    limits = WindowLimits(2304 * 1728 // 16, 1024 * 1024, 1024, 16 / 9 + 0.01, 8)
    for size, tile, count in [
        ((512, 512), 512, 1),
        ((1024, 576), 1024, 1),
        ((1024, 1024), 1024, 1),
        ((1024, 1024), 512, 9),
        ((300, 200), 512, 1),
        ((64, 64), 512, 1),
        ((2000, 500), 512, 5),
        ((4000, 100), 512, None),
    ]:
        layout = decode_layout(*size, limits, tile_px=tile, overlap_px=64)
        long, short = sorted((layout.x.window_px, layout.y.window_px), reverse=True)
        assert long / short <= 16 / 9 + 0.05 and long <= 1024
        assert layout.window_area_px >= 2304 * 1728 // 16
        assert math.sqrt(layout.window_area_px) <= max(tile, 516)
        assert count is None or layout.num_windows <= count
