# SPDX-License-Identifier: Apache-2.0
"""Colour: profiles come out right, and the lock holds the low band."""

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch

from pid_core.engines.base import EngineInfo, EngineOptions, Step
from pid_core.plan import EnginePlan

PRIMARIES = {
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


def profile(name: str, gamma: float = 2.19921875) -> bytes:
    primaries = [value for xy in PRIMARIES[name] for value in (*xy, 1.0)]
    return imagecodecs.cms_profile(
        "rgb", whitepoint=[0.3127, 0.3290, 1.0], primaries=primaries, gamma=gamma
    )


def to_lab(samples: np.ndarray, icc: bytes) -> np.ndarray:
    """[H, W, 3] uint16 to sRGB floats by LittleCMS, not by us."""
    values = (samples / 65535).astype(np.float32)
    return imagecodecs.cms_transform(
        values,
        icc,
        imagecodecs.cms_profile("srgb"),
        colorspace="rgb",
        outcolorspace="rgb",
        outdtype=np.float32,
    )


class Meddler:
    """Enlarges by repetition and bends colour and tone on the way."""

    info = EngineInfo("stub", "", "Apache-2.0", 4)

    def __init__(self, gamma: float = 1.0, cast: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
        self._gamma, self._cast = gamma, torch.tensor(cast)[None, :, None, None]

    def run(self, image: torch.Tensor, options: EngineOptions, plan: EnginePlan) -> Iterator[Step]:
        large = image.repeat_interleave(4, 2).repeat_interleave(4, 3)
        bent = (large / 2 + 0.5).clamp(0, 1) ** self._gamma + self._cast
        yield Step("tile", 1.0, 1, 1, image=bent * 2 - 1)

    def resident_bytes(self) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("name", ("adobe", "p3"))
@pytest.mark.parametrize("engine", ("identity", "compact"))
def test_wide_gamut_stays_wide(run, name, engine):
    icc = profile(name)
    patches = np.array(
        [[0, 255, 0], [255, 0, 0], [20, 250, 30], [128, 128, 128], [250, 240, 10], [90, 40, 200]]
    )
    picture = np.repeat(np.repeat(patches[None], 24, 0), 24, 1).astype(np.uint16) * 257
    result = run(picture, engine=engine, icc=icc).picture
    assert result.format.icc == icc
    centres = result.samples[40:56, 40::96][:, :6].astype(float).mean(0) / 65535
    # in light: a power curve is so steep at 0 that an invisible trace shows in the encoded value
    np.testing.assert_allclose(centres**2.2, (patches / 255) ** 2.2, atol=0.006)
    np.testing.assert_allclose(
        centres[patches.min(1) > 0], (patches / 255)[patches.min(1) > 0], atol=0.012
    )


def test_the_engine_sees_srgb(run, photograph):
    """A picture in AdobeRGB and the same in sRGB give the same colours, judged by LittleCMS."""
    srgb = photograph[:32, :32].astype(np.uint16) * 257
    adobe = imagecodecs.cms_transform(
        srgb,
        imagecodecs.cms_profile("srgb"),
        profile("adobe"),
        colorspace="rgb",
        outcolorspace="rgb",
    )
    direct = run(srgb, engine="compact").picture.samples / 65535
    round_trip = to_lab(
        run(adobe, engine="compact", icc=profile("adobe")).picture.samples, profile("adobe")
    )
    assert np.abs(np.clip(round_trip, 0, 1) - direct).mean() < 0.002
    assert np.quantile(np.abs(np.clip(round_trip, 0, 1) - direct), 0.99) < 0.02


def test_linear_and_perceptual_encodings_mean_the_same_picture(run, photograph):
    encoded = (photograph[:24, :24] / 255).astype(np.float32)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    direct = run(encoded, engine="compact", encoding="perceptual").picture.samples
    light = run(linear.astype(np.float32), engine="compact", encoding="linear").picture.samples
    back = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.abs(light) ** (1 / 2.4) - 0.055)
    assert np.abs(back - direct).max() < 1e-3


def test_a_table_profile_goes_through_littlecms(run, photograph):
    """ImageCms builds a Lab-based RGB table profile nowhere; a damaged one must not stop the
    work."""
    result = run(photograph, engine="compact", icc=b"no profile at all")
    assert result.picture.format.icc == b"no profile at all"
    assert any("ICC profile" in sentence for sentence in result.record["notices"])
    plain = run(photograph, engine="compact")
    assert np.array_equal(result.picture.samples, plain.picture.samples)


@pytest.mark.parametrize("stub", (Meddler(gamma=0.85), Meddler(cast=(-0.03, 0.03, -0.02))))
def test_the_lock_takes_back_casts_and_gamma(run, photograph, stub):
    free = run(photograph, engine=stub, colour_lock=False)
    locked = run(photograph, engine=stub, colour_lock=True)
    assert free.record["delta_e"]["median"] > 1
    assert locked.record["delta_e"]["median"] <= 1 and locked.record["delta_e"]["p99"] <= 3
    assert locked.record["delta_e_unlocked"] == free.record["delta_e"]
    small = locked.picture.samples.astype(float).reshape(48, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(small - photograph).mean() < 1.5


def test_the_lock_leaves_detail_alone(run, photograph):
    free = run(photograph, engine="compact", colour_lock=False).picture.samples.astype(int)
    locked = run(photograph, engine="compact").picture.samples.astype(int)
    assert np.abs(np.diff(free, axis=1) - np.diff(locked, axis=1)).mean() < 0.35


def test_no_glow_around_lights(run):
    """What a bright edge lacks must not be added to the dark beside it."""
    picture = np.full((32, 32, 3), 0.001, np.float32)
    picture[:, 16:] = 40.0
    result = run(picture, engine=Meddler(gamma=0.9), encoding="linear").picture.samples
    assert result[:, :48].max() < 0.02
