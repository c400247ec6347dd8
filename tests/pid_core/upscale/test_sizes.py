# SPDX-License-Identifier: Apache-2.0
"""Sizes, regions, seamless edges and the course of an upscale."""

import itertools

import numpy as np
import pytest

from pid_core.errors import InvalidImage, ShapeMismatch
from pid_core.pixels import PictureFormat, unpack
from pid_core.plan import Rect, UpscaleRequest, plan_upscale
from pid_core.upscale import upscale

SIZES = ((1, 1), (7, 5), (500, 3), (2, 90))
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
SLOW = {("compact", (500, 3), scale) for scale in SCALES if scale not in (2.0, 8.0)}
"""The long picture at two scales is enough."""


@pytest.mark.parametrize(
    ("engine", "size", "scale"),
    sorted(set(itertools.product(("identity", "compact"), SIZES, SCALES)) - SLOW),
)
def test_any_size_comes_out_exact(run, engine, size, scale):
    width, height = size
    picture = np.full((height, width, 3), (200, 100, 50), np.uint8)
    result = run(picture, engine=engine, scale=scale).picture.samples
    wanted = (int(height * scale + 0.5), int(width * scale + 0.5), 3)
    assert result.shape == wanted
    assert np.abs(result.astype(int) - (200, 100, 50)).max() <= (1 if engine == "identity" else 6)


def test_exact_sizes_may_change_the_aspect(run, photograph):
    result = run(photograph, engine="compact", width=150, height=90)
    assert result.picture.samples.shape == (90, 150, 3)
    assert any("aspect" in sentence for sentence in result.record["notices"])


def test_nothing_shifts(run, photograph):
    """The centre of mass of a spot lies at the same relative place in every size."""
    spot = np.zeros((40, 40, 1), np.float32)
    spot[20:22, 13:15] = 1
    for engine in ("identity", "compact"):
        for scale in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0):
            result = run(spot, engine=engine, scale=scale).picture.samples[..., 0]
            y, x = (np.mgrid[0 : result.shape[0], 0 : result.shape[1]] + 0.5) / scale
            result = result * (np.hypot(x - 14, y - 21) < 4)
            centre = ((x * result).sum() / result.sum(), (y * result).sum() / result.sum())
            assert abs(centre[0] - 14) < 0.12 and abs(centre[1] - 21) < 0.12, (
                engine,
                scale,
                centre,
            )


def test_a_region_is_that_part_of_the_whole(run, photograph):
    whole = run(photograph, engine="compact", colour_lock=False).picture.samples
    part = run(
        photograph, engine="compact", colour_lock=False, region=Rect(10, 8, 30, 20)
    ).picture.samples
    assert np.array_equal(part, whole[32:112, 40:160])


ROLLED = set(itertools.product(("identity", "compact"), ("x", "y", "both"), (1.0, 2.0, 4.0, 6.0)))
ROLLED -= {("compact", "x", 6.0), ("compact", "y", 6.0)}  # `both` covers them


@pytest.mark.parametrize(("engine", "wrap", "scale"), sorted(ROLLED))
def test_rolling_the_input_rolls_the_output(run, photograph, engine, wrap, scale):
    picture = photograph[:24, :32]
    roll = (12 if wrap in ("y", "both") else 0, 16 if wrap in ("x", "both") else 0)
    straight = run(picture, engine=engine, wrap=wrap, scale=scale).picture.samples
    rolled = run(np.roll(picture, roll, (0, 1)), engine=engine, wrap=wrap, scale=scale)
    shift = (int(roll[0] * scale), int(roll[1] * scale))
    back = np.roll(rolled.picture.samples, (-shift[0], -shift[1]), (0, 1))
    assert np.abs(back.astype(int) - straight).max() <= 1


def test_progress_never_falls_and_ends_with_the_result(engines, photograph):
    engine = engines("compact")
    picture = unpack(photograph.tobytes(), PictureFormat(64, 48))
    request = UpscaleRequest(engine="compact", scale=6.0)
    plan = plan_upscale(64, 48, request)
    steps = list(upscale(picture, None, request, plan, engine))
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert [step.result is not None for step in steps] == [False] * (len(steps) - 1) + [True]
    assert {step.stage for step in steps} == {"convert", "tile", "finish"}
    width, height, pixels = next(step.preview for step in steps if step.preview)
    assert len(pixels) == width * height * 3


def test_closing_stops_the_engine(engines, photograph):
    engine = engines("compact")
    picture = unpack(photograph.tobytes(), PictureFormat(64, 48))
    request = UpscaleRequest(engine="compact")
    steps = upscale(picture, None, request, plan_upscale(64, 48, request), engine)
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_a_plan_for_another_picture_is_refused(engines, photograph):
    picture = unpack(photograph.tobytes(), PictureFormat(64, 48))
    request = UpscaleRequest(engine="identity")
    with pytest.raises(ShapeMismatch, match="64, 48"):
        next(upscale(picture, None, request, plan_upscale(64, 40, request), engines("identity")))
    with pytest.raises(InvalidImage, match="mask"):
        plan = plan_upscale(64, 48, request)
        next(upscale(picture, b"123", request, plan, engines("identity")))
