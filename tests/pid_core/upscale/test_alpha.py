# SPDX-License-Identifier: Apache-2.0
"""Transparency: crisp edges without halos, and hidden colour that stays hidden."""

import numpy as np
import pytest
from PIL import Image


def sprite(side: int) -> tuple[np.ndarray, np.ndarray]:
    """[side, side, 3] in 0..1 and [side, side] alpha: a star and a ring with smooth colour."""
    big = side * 4
    y, x = (np.mgrid[0:big, 0:big] + 0.5) / big - 0.5
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    shape = (radius < 0.28 + 0.1 * np.cos(5 * angle)) & (radius > 0.08)
    shape |= np.abs(radius - 0.45) < 0.02
    alpha = shape.astype(float).reshape(side, 4, side, 4).mean((1, 3))
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    colour = np.stack([0.3 + 0.6 * x, 0.8 - 0.5 * y, 0.2 + 0.3 * np.sin(6 * x) ** 2], -1)
    return colour, alpha


def shrunk(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Quarter size, [h, w, 4] uint8 straight alpha, hidden colour a loud green."""
    side = alpha.shape[0] // 4
    weight = alpha.reshape(side, 4, side, 4).mean((1, 3))
    lit = (colour * alpha[..., None]).reshape(side, 4, side, 4, 3).mean((1, 3))
    small = np.where(weight[..., None] > 0, lit / np.maximum(weight, 1e-9)[..., None], (0, 1, 0))
    return np.rint(np.dstack([small, weight]) * 255).astype(np.uint8)


def over(colour: np.ndarray, alpha: np.ndarray, ground: float) -> np.ndarray:
    return colour * alpha[..., None] + ground * (1 - alpha[..., None])


def bicubic(small: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pillow's bicubic of the premultiplied picture: what a careful editor does."""
    values = small.astype(float) / 255
    planes = [values[..., i] * values[..., 3] for i in range(3)] + [values[..., 3]]
    grown = [
        np.array(Image.fromarray(plane.astype(np.float32)).resize((side, side), Image.BICUBIC))
        for plane in planes
    ]
    alpha = np.clip(grown[3], 0, 1)
    return np.dstack(grown[:3]) / np.maximum(alpha, 1e-6)[..., None], alpha


@pytest.mark.parametrize("engine", ("identity", "compact"))
@pytest.mark.parametrize("ground", (0.0, 1.0))
def test_edges_are_better_than_bicubics_on_black_and_on_white(run, engine, ground):
    colour, alpha = sprite(192)
    small = shrunk(colour, alpha)
    truth = over(colour, alpha, ground)
    theirs = over(*bicubic(small, 192), ground)
    result = run(small, engine=engine).picture.samples / 255
    ours = over(result[..., :3], result[..., 3], ground)
    ours_error, their_error = ((one - truth) ** 2 for one in (ours, theirs))
    assert ours_error.mean() < 0.5 * their_error.mean()


def test_hidden_colour_does_not_bleed_out(run):
    colour, alpha = sprite(192)
    loud = shrunk(colour, alpha)
    quiet = loud.copy()
    quiet[loud[..., 3] == 0, :3] = (255, 0, 255)
    first, second = (run(one, engine="compact").picture.samples for one in (loud, quiet))
    seen = first[..., 3] > 0
    assert np.array_equal(first[..., 3], second[..., 3])
    assert np.array_equal(first[seen], second[seen])


def test_hidden_colour_is_kept(run):
    colour, alpha = sprite(192)
    small = shrunk(colour, alpha)
    result = run(small, engine="compact", kind="enhance").picture.samples
    hidden = small[..., 3] == 0
    assert np.array_equal(result[..., 3], small[..., 3])
    assert np.abs(result[hidden].astype(int) - small[hidden]).max() <= 1


def test_binary_alpha_stays_crisp(run):
    """An edge between two pixels ends up about one result pixel wide, not a source pixel."""
    picture = np.full((16, 16, 4), 200, np.uint8)
    picture[..., 3] = 0
    picture[4:12, 4:12, 3] = 255
    alpha = run(picture, engine="compact").picture.samples[..., 3].astype(int)
    between = ((alpha > 10) & (alpha < 245)).sum()
    assert between <= 32 * 4 * 1.2  # the outline is 4 * 32 result pixels long
    assert abs(alpha.mean() / 255 - 0.25) < 0.01


def test_soft_alpha_stays_soft(run):
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    picture = np.full((8, 32, 4), 128, np.uint8)
    picture[..., 3] = ramp
    alpha = run(picture, engine="compact").picture.samples[16, :, 3].astype(int)
    assert np.diff(alpha).min() >= 0 and np.diff(alpha).max() <= 5


def test_a_mask_fades_inside_the_selection_only(run, photograph):
    mask = np.zeros((48, 64), np.uint8)
    mask[8:40, 10:54] = 255
    result = run(photograph, kind="enhance", mask=mask, feather=8).picture
    assert result.format.channels == "rgba"
    alpha = result.samples[..., 3]
    assert (alpha[mask == 0] == 0).all() and alpha[24, 32] == 255
    assert alpha[8, 32] < 60
    assert np.array_equal(result.samples[..., :3], photograph)
