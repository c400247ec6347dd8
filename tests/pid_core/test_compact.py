# SPDX-License-Identifier: Apache-2.0
"""The built-in engine: exact streaming, exact tiles, exact loading, wrapping, cancel, weights."""

import dataclasses

import pytest
import torch
from safetensors.torch import save_file

from pid_core.engines.base import EngineOptions
from pid_core.engines.compact import BUILT_IN_WEIGHTS, CompactEngine, load_network
from pid_core.errors import CheckpointMismatch, CheckpointMissing, InvalidOptions, ShapeMismatch
from pid_core.networks.compact import CompactNet, CompactStream, enlarge, with_repair
from pid_core.plan import EnginePlan


@pytest.fixture(scope="module")
def small_net():
    torch.manual_seed(0)
    return CompactNet(channels=8, num_blocks=2).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(small_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    metadata = {"architecture": "compact", "version": "9", "licence": "Apache-2.0"}
    save_file(dict(small_net.state_dict()), path, metadata=metadata)
    return path


@pytest.fixture
def engine(weights):
    return CompactEngine(weights)


def picture(height, width, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator) * 2 - 1


def plan_for(image, **changes):
    height, width = image.shape[2:]
    plan = EnginePlan("compact", width, height, 4, tile_px=4096, overlap_px=7)
    return dataclasses.replace(plan, **changes)


def upscale(engine, image, repair=0.0, **changes):
    steps = list(engine.run(image, EngineOptions(repair=repair), plan_for(image, **changes)))
    assert all(step.image is None for step in steps[:-1])
    return steps[-1].image, steps


@pytest.mark.parametrize("band", [1, 2, 3, 5, 29, 30, 31])
def test_stream_equals_one_piece_for_any_band(small_net, band):
    image, repair = picture(30, 17), torch.tensor([0.3])
    stream = CompactStream(small_net)
    rows = with_repair(image, repair)
    parts = [
        stream.push(rows[:, :, at : at + band], is_last=at + band >= 30)
        for at in range(0, 30, band)
    ]
    streamed = enlarge(image) + torch.cat(parts, dim=2)
    torch.testing.assert_close(streamed, small_net(image, repair), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 200), (200, 9), (70, 50)])
def test_engine_equals_network_at_any_size(engine, small_net, size):
    image = picture(*size)
    whole = small_net(image, torch.zeros(1)).clamp(-1, 1)
    output, _ = upscale(engine, image)
    assert output.shape == (1, 3, 4 * size[0], 4 * size[1])
    torch.testing.assert_close(output, whole, atol=2e-6, rtol=0)


@pytest.mark.parametrize("tile_px", [5, 16, 33])
def test_columns_equal_one_piece(engine, tile_px):
    image = picture(40, 70)
    whole, _ = upscale(engine, image)
    tiled, steps = upscale(engine, image, tile_px=tile_px)
    assert len(steps) >= 70 // tile_px
    torch.testing.assert_close(tiled, whole, atol=2e-6, rtol=0)


def test_receptive_px_is_the_true_reach(small_net):
    reach = small_net.receptive_px
    image = picture(1, 2 * reach + 9).requires_grad_()
    image_in = image.expand(1, 3, 3, -1)
    output = small_net(image_in, torch.zeros(1)) - enlarge(image_in)
    middle = 4 * (reach + 4)
    (gradient,) = torch.autograd.grad(output[..., middle].sum(), image)
    touched = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    assert touched.min() >= 4 and touched.max() <= 2 * reach + 4


def test_repair_changes_the_result(engine):
    image = picture(12, 12)
    assert not torch.equal(upscale(engine, image)[0], upscale(engine, image, repair=1.0)[0])


@pytest.mark.parametrize(("wrap", "axes"), [("x", (3,)), ("y", (2,)), ("both", (2, 3))])
def test_wrap_makes_the_result_periodic(engine, wrap, axes):
    image = picture(14, 11)
    plain, _ = upscale(engine, image, wrap=wrap)
    for axis in axes:
        rolled, _ = upscale(engine, image.roll(5, dims=axis), wrap=wrap)
        torch.testing.assert_close(rolled, plain.roll(20, dims=axis), atol=4e-6, rtol=0)


def test_steps_count_up_and_previews_follow(engine):
    image = picture(64, 40)
    _, steps = upscale(engine, image, tile_px=20)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert [step.index for step in steps] == list(range(1, steps[0].total + 1))
    assert steps[0].preview.dtype == torch.uint8 and steps[0].preview.shape == (3, 64, 40)
    assert not torch.equal(steps[0].preview, steps[-1].preview)
    shrunk = torch.nn.functional.avg_pool2d(steps[-1].image, 4)[0].add(1).mul(127.5).round()
    assert (steps[-1].preview.float() - shrunk).abs().max() <= 1


def test_closing_the_generator_cancels_and_the_engine_goes_on(engine):
    image = picture(64, 40)
    running = engine.run(image, EngineOptions(), plan_for(image, tile_px=10))
    next(running)
    running.close()
    assert upscale(engine, image)[0].shape == (1, 3, 256, 160)


def test_same_plan_gives_the_same_bytes_and_leaves_the_input_alone(engine):
    image = picture(20, 20)
    before = image.clone()
    assert torch.equal(upscale(engine, image)[0], upscale(engine, image)[0])
    assert torch.equal(image, before)


def test_bfloat16_is_close(engine):
    image = picture(24, 24)
    full, half = upscale(engine, image)[0], upscale(engine, image, dtype="bfloat16")[0]
    assert (full - half).abs().mean() < 0.005
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "repair", "changes"),
    [
        (ShapeMismatch, 0.0, {"width_px": 9}),
        (InvalidOptions, 1.5, {}),
        (InvalidOptions, 0.0, {"dtype": "float8"}),
    ],
)
def test_what_does_not_fit_is_refused(engine, error, repair, changes):
    with pytest.raises(error):
        upscale(engine, picture(8, 8), repair=repair, **changes)


def test_loading_is_exact(small_net, tmp_path):
    state = dict(small_net.state_dict())
    metadata = {"architecture": "compact"}
    path = tmp_path / "broken.safetensors"
    with pytest.raises(CheckpointMissing, match="broken"):
        load_network(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(CheckpointMismatch, match="cannot be read"):
        load_network(path)
    save_file(state, path, metadata={"architecture": "other"})
    with pytest.raises(CheckpointMismatch, match="architecture other"):
        load_network(path)
    for changes, text in (
        ({"tail.bias": None}, "missing tail.bias"),
        ({"stray": torch.zeros(1)}, "extra stray"),
        ({"fuse.bias": torch.zeros(3)}, r"fuse.bias is \[3\], expected \[8\]"),
        ({"trunk.1.conv2.weight": None}, "missing trunk.1.conv2.weight"),
    ):
        merged = {**state, **changes}
        save_file({k: v for k, v in merged.items() if v is not None}, path, metadata=metadata)
        with pytest.raises(CheckpointMismatch, match=text):
            load_network(path)


def test_reload_gives_the_same_network(small_net, weights):
    net, metadata = load_network(weights)
    assert metadata["version"] == "9"
    assert all(
        torch.equal(a, b) for a, b in zip(net.parameters(), small_net.parameters(), strict=True)
    )


def test_built_in_weights_are_free_small_and_better_than_bicubic():
    assert BUILT_IN_WEIGHTS.stat().st_size <= 8 * 1024 * 1024
    engine = CompactEngine()
    assert engine.info.name == "compact" and engine.info.licence == "Apache-2.0"
    assert engine.resident_bytes() > 0
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    disc = ((x - 128) ** 2 + (y - 120) ** 2 < 70**2) * 1.0 - 0.5  # a sharp round edge
    sharp = disc.expand(1, 3, -1, -1)
    small = torch.nn.functional.interpolate(sharp, scale_factor=0.25, mode="area")
    output, _ = upscale(engine, small)
    error, base = ((one - sharp).square().mean() for one in (output, enlarge(small)))
    assert error < 0.8 * base
