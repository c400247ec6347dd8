# SPDX-License-Identifier: Apache-2.0
"""Depth, range and channels: what goes in as 16-bit, float or grey comes out as faithful."""

import numpy as np
import pytest

ENGINES = ("identity", "compact")


@pytest.mark.parametrize("engine", ENGINES)
def test_sixteen_bit_ramp_keeps_its_levels(run, engine):
    ramp = np.linspace(0, 65535, 1200).round().astype(np.uint16)
    picture = np.repeat(np.tile(ramp, (16, 1))[..., None], 3, axis=2)
    result = run(picture, engine=engine).picture.samples
    assert result.shape == (64, 4800, 3) and result.dtype == np.uint16
    row = result[32, :, 1].astype(int)
    assert len(np.unique(row)) >= 4096
    # and they lie where they belong: within 0.2 % of the ramp, ends aside
    wanted = (np.arange(4800) + 0.5) / 4 - 0.5
    error = np.abs(row - np.interp(wanted, np.arange(1200), ramp.astype(float)))
    assert error[64:-64].max() < 131


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("encoding", ("perceptual", "linear"))
def test_values_above_one_survive(run, engine, encoding):
    picture = np.full((24, 24, 3), 0.25, np.float32)
    picture[8:16, 8:16] = (12.0, 6.0, 3.0)
    picture[0:4, 0:4] = -0.125
    result = run(picture, engine=engine, encoding=encoding).picture.samples
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[44:52, 44:52].mean((0, 1)), (12, 6, 3), rtol=0.08)
    assert result[:6, :6].max() < 0  # below black as well
    # no glow: away from the light nothing changes
    assert np.abs(result[76:90, 76:90] - 0.25).max() < 0.02


def test_half_floats_saturate_instead_of_overflowing(run):
    picture = np.zeros((8, 8, 3), np.float16)
    picture[2:6, 2:6] = 65504
    result = run(picture, encoding="linear").picture.samples
    assert result.dtype == np.float16 and np.isfinite(result).all()


def test_samples_that_are_no_numbers_are_said(run):
    picture = np.full((8, 8, 3), 0.5, np.float32)
    picture[3, 3] = np.nan
    result = run(picture, engine="compact")
    assert np.isfinite(result.picture.samples).all()
    assert any("not numbers" in sentence for sentence in result.record["notices"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", (np.uint8, np.uint16, np.float16, np.float32))
@pytest.mark.parametrize("samples", (1, 2, 3, 4))
def test_every_format_answers_in_its_own_kind(run, photograph, engine, dtype, samples):
    if samples in (1, 2):
        picture = photograph[:12, :14, :1]
    else:
        picture = photograph[:12, :14]
    if samples in (2, 4):
        alpha = np.full((12, 14, 1), 255, np.uint8)
        picture = np.concatenate([picture, alpha], 2)
    if dtype == np.uint16:
        picture = picture.astype(np.uint16) * 257
    elif dtype != np.uint8:
        picture = (picture / 255).astype(dtype)
    result = run(picture, engine=engine, scale=2.0).picture
    assert result.samples.shape == (24, 28, samples) and result.samples.dtype == dtype
    top = 1.0 if picture.dtype.kind == "f" else np.iinfo(dtype).max
    small = result.samples.astype(float).reshape(12, 2, 14, 2, samples).mean((1, 3)) / top
    assert np.abs(small - picture.astype(float) / top).mean() < 0.02
    if samples in (2, 4):
        assert (result.samples[..., -1] == top).all()


def test_bgr_and_rgb_are_the_same_picture(run, photograph):
    rgb = run(photograph, engine="compact").picture.samples
    bgr = run(photograph[..., ::-1], engine="compact", order="bgr").picture.samples
    assert np.array_equal(rgb, bgr[..., ::-1])


def test_grey_is_the_grey_of_the_colour_picture(run, photograph):
    grey = photograph[..., :1]
    one = run(grey, engine="compact").picture.samples
    three = run(np.repeat(grey, 3, 2), engine="compact").picture.samples
    assert one.shape[2] == 1
    assert np.abs(one[..., 0].astype(int) - three.mean(2)).mean() < 1


def test_identity_at_the_sources_size_answers_with_its_bytes(run):
    picture = np.random.default_rng(0).integers(0, 65536, (9, 7, 4)).astype(np.uint16)
    for kind in ("enhance", "upscale"):
        options = {"scale": 1.0} if kind == "upscale" else {}
        result = run(picture, kind=kind, **options).picture
        assert np.array_equal(result.samples, picture)


def test_float_and_sixteen_bit_at_their_own_size_keep_their_tone(run, photograph):
    fine = photograph.astype(np.uint16) * 257 + np.arange(64, dtype=np.uint16)[None, :, None]
    result = run(np.repeat(fine, 1, 0), engine="compact", kind="enhance").picture.samples
    difference = result.astype(float) - fine
    assert abs(difference.mean()) < 80  # of 65535


@pytest.mark.parametrize("engine", ENGINES)
def test_same_request_same_bytes(run, photograph, engine):
    alpha = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.concatenate([photograph, np.tile(alpha, (48, 1))[..., None]], 2)
    first, second = (run(picture, engine=engine, scale=2.7).picture.samples for _ in range(2))
    assert np.array_equal(first, second)
