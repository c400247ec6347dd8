# SPDX-License-Identifier: Apache-2.0
"""The engine `pid` from files to pixels, with small synthetic sets and small trained sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pid_core.checkpoints import native_products
from pid_core.engines import pid
from pid_core.engines.base import EngineOptions
from pid_core.engines.pid import engine as engine_module
from pid_core.errors import CheckpointMissing, InvalidOptions, LicenceNotAccepted, ShapeMismatch
from pid_core.inspect import generations
from pid_core.plan import (
    DeviceFacts,
    EnginePlan,
    EngineReadiness,
    PidFacts,
    UpscaleRequest,
    plan_upscale,
)
from tests.pid_core.synthetic_set import PidSet, write_set

SMALL = generations.TrainedSizes(
    min_area_px=256 * 256, max_area_px=512 * 512, max_side_px=512, max_aspect=16 / 9 + 0.01
)
"""A sixty-fourth of the true sizes."""


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in generations.VARIANTS.items():
        monkeypatch.setitem(generations.VARIANTS, name, replace(row, sizes=SMALL))


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> PidSet:
    return write_set(tmp_path_factory.mktemp("flux"))


def create(files: PidSet, **settings) -> pid.PidEngine:
    return pid.create(
        model_folders=[files.folder],
        cache_folder=files.folder / "cache",
        licence_accepted=True,
        **{"dtype": "float32", **settings},
    )


def plan(width: int, height: int, **changes) -> EnginePlan:
    made = EnginePlan("pid", width, height, 4, tile_px=96, overlap_px=16, steps=4)
    return replace(made, **changes)


def picture(width: int, height: int) -> torch.Tensor:
    rows = torch.linspace(-2, 2, height).view(-1, 1)
    columns = torch.linspace(-2, 2, width).view(1, -1)
    return torch.stack([torch.sin(rows * k + columns * 3) * 0.7 for k in (1, 4, 7)])[None]


def run(engine: pid.PidEngine, image: torch.Tensor, made: EnginePlan, **options):
    return list(engine.run(image, EngineOptions(**options), made))


@pytest.mark.parametrize(
    "size",
    [(64, 64), (80, 56), (33, 21), (200, 40), pytest.param((130, 110), marks=pytest.mark.slow)],
)
def test_any_size(flux: PidSet, size: tuple[int, int]) -> None:
    engine = create(flux)
    steps = run(engine, picture(*size), plan(*size))
    image = steps[-1].image
    assert image is not None and image.shape == (1, 3, size[1] * 4, size[0] * 4)
    assert torch.isfinite(image).all() and image.abs().max() <= 1
    assert all(step.image is None for step in steps[:-1])
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    windows = engine.layout(plan(*size)).num_windows
    blocks = len(engine._net.patch_blocks) + len(engine._net.pixel_blocks)
    shown = [step.index for step in steps if step.stage in ("tile", "step")]
    assert len(shown) == 4 * (windows * blocks + 1)
    if windows > 1:
        assert set(shown) == set(range(1, windows + 1)) | {1, 2, 3, 4}
    else:
        assert shown == sorted(shown) and set(shown) == {1, 2, 3, 4}
    assert max(steps[-1].preview.shape[1:]) <= 256


@pytest.mark.parametrize("family", ["flux", "flux2"])
@pytest.mark.parametrize(("size", "wrap"), [((300, 70), "none"), ((130, 200), "y")])
def test_the_plan_counts_the_windows_that_are_run(
    tmp_path: Path, family: str, size: tuple[int, int], wrap: str
) -> None:
    engine = create(write_set(tmp_path, family))
    pid_facts = PidFacts(family, "2kto4k_v1pt5")
    readiness = EngineReadiness(pid_facts, pid_acknowledged=True, has_gpu=True)
    planned = plan_upscale(
        *size, UpscaleRequest(engine="pid", wrap=wrap), DeviceFacts("cuda", readiness=readiness)
    )
    layout = engine.layout(planned.passes[0])
    assert planned.tiles == layout.num_windows > 1


def test_the_same_seed_gives_the_same_bytes(flux: PidSet) -> None:
    first = run(create(flux), picture(64, 64), plan(64, 64), seed=5)[-1].image
    again = run(create(flux), picture(64, 64), plan(64, 64), seed=5)[-1].image
    other = run(create(flux), picture(64, 64), plan(64, 64), seed=6)[-1].image
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("family", ["flux2", "sdxl", "qwenimage"])
def test_other_families(family: str, tmp_path: Path) -> None:
    engine = create(write_set(tmp_path, family))
    assert engine.info.weights.startswith(family)
    image = run(engine, picture(70, 64), plan(70, 64), repair=0.5)[-1].image
    assert image is not None and image.shape == (1, 3, 256, 280)


@pytest.mark.parametrize("is_native", [True, False])
def test_a_quantised_file_says_how_it_is_multiplied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_native: bool
) -> None:
    monkeypatch.setattr(native_products, "is_usable", lambda *_: is_native)
    engine = create(write_set(tmp_path, quantised="convrot"))
    assert engine.info.native_products == (("int8_tensorwise",) if is_native else ())
    image = run(engine, picture(64, 64), plan(64, 64))[-1].image
    assert image is not None and image.shape == (1, 3, 256, 256)


@pytest.mark.parametrize("wrap", ["x", "both"])
def test_a_seamless_texture_stays_seamless(flux: PidSet, wrap: str) -> None:
    engine = create(flux)
    made = plan(60, 64, wrap=wrap)
    image = run(engine, picture(60, 64), made, wrap=wrap)[-1].image
    assert image.shape == (1, 3, 256, 240)
    across = (image[..., 0] - image[..., -1]).abs().mean()
    inside = image.diff(dim=-1).abs().mean()
    assert across <= 1.5 * inside


def test_dials_change_the_picture(flux: PidSet) -> None:
    engine, made, source = create(flux), plan(64, 64), picture(64, 64)
    plain = run(engine, source, made)[-1].image
    for options in ({"repair": 0.5}, {"sigma": 0.2}, {"prompt": "two cats"}, {"steps": 2}):
        assert not torch.equal(run(engine, source, made, **options)[-1].image, plain), options
    assert torch.equal(run(engine, source, made, sigma=0.0, repair=1.0)[-1].image, plain)
    for options in ({"repair": 1.5}, {"sigma": 0.9}, {"steps": 5}):
        with pytest.raises(InvalidOptions):
            run(engine, source, made, **options)


def test_an_undistilled_network_takes_its_own_sampler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pid_core.engines.pid import decode

    monkeypatch.setattr(decode, "TEACHER_STEPS", 3)
    engine = create(write_set(tmp_path, undistilled=True))
    steps = run(engine, picture(64, 64), plan(64, 64), negative_prompt="blurry")
    counted = [step.index for step in steps if step.stage == "step"]
    assert counted == sorted(counted) and set(counted) == {1, 2, 3}
    assert steps[-1].image.shape == (1, 3, 256, 256)


def test_without_a_prompt_no_encoder_is_needed_twice(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    first = run(create(files), picture(64, 64), plan(64, 64))[-1].image
    files.text_encoder.unlink()
    engine = create(files)
    assert torch.equal(run(engine, picture(64, 64), plan(64, 64))[-1].image, first)
    with pytest.raises(CheckpointMissing, match="'new' has no cached embedding"):
        run(engine, picture(64, 64), plan(64, 64), prompt="new")


def test_the_licence_comes_first(flux: PidSet) -> None:
    with pytest.raises(LicenceNotAccepted):
        pid.create(weights=str(flux.weights), model_folders=[flux.folder])


def test_missing_companions_are_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    files.vae.unlink()
    with pytest.raises(CheckpointMissing, match="VAE of FLUX.1"):
        create(files)
    with pytest.raises(CheckpointMissing, match="No PiD weights"):
        pid.create(model_folders=[tmp_path / "nowhere"], licence_accepted=True)


def test_a_plan_for_another_picture_is_refused(flux: PidSet) -> None:
    with pytest.raises(ShapeMismatch):
        run(create(flux), picture(64, 64), plan(64, 32))


def test_closing_cancels(flux: PidSet, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create(flux)
    work = engine.run(picture(200, 64), EngineOptions(), plan(200, 64))
    stages = [next(work).stage for _ in range(4)]
    work.close()
    assert "tile" in stages and next(work, None) is None


def test_out_of_memory_is_said(flux: PidSet, monkeypatch: pytest.MonkeyPatch) -> None:
    from pid_core.errors import NotEnoughMemory

    engine = create(flux)

    def exhausted(*_args, **_options):
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(engine_module.Decoder, "run", exhausted)
    with pytest.raises(NotEnoughMemory, match="64 x 64 px do not fit"):
        run(engine, picture(64, 64), plan(64, 64))


@pytest.mark.slow
def test_window_borders_of_a_random_network_are_no_seams(flux: PidSet) -> None:
    engine, made = create(flux), plan(192, 192)
    layout = engine.layout(made)
    assert layout.num_windows >= 4
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(1, 3, 24, 24, generator=generator)
    source = torch.nn.functional.interpolate(noise, scale_factor=8, mode="bicubic").tanh()
    tiled = run(engine, source, made)[-1].image
    gradient = tiled.diff(dim=-1).abs().mean((0, 1, 2))
    starts = layout.x.starts_px
    edges = [4 * x - 1 for x in (*starts[1:], *(s + layout.x.window_px for s in starts[:-1]))]
    # patches of 16 px show in any random network, so edges are held against other patch borders
    borders = gradient[15::16]
    assert gradient[edges].mean() <= 1.02 * borders.mean()
