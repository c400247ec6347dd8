# SPDX-License-Identifier: Apache-2.0
"""What PidNet promises besides its values: loading, reuse between steps, memory, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pid_core.errors import CheckpointMismatch, ShapeMismatch
from pid_core.networks import latent_branch
from pid_core.networks.packed import PackedLinear, pack_for_cpu
from pid_core.networks.pid_net import PidNet, PidNetSizes
from pid_core.networks.pixeldit import PixelDit, PixelDitSizes
from tests.pid_core.networks.conftest import OPTIONS, make_net

Draw = Callable[..., torch.Tensor]
KEYMAPS = Path(__file__).parents[4] / "shared" / "facts" / "keymaps"


@pytest.fixture
def inputs(draw: Draw) -> dict[str, torch.Tensor]:
    """Arguments of a forward pass: two images of 12 x 20 px."""
    return {
        "image": draw(2, 3, 12, 20),
        "timestep": torch.tensor([866.0, 342.0]),
        "caption_embeddings": draw(2, 6, 12),
        "latent": draw(2, 8, 6, 10),
        "sigma": torch.tensor([0.0, 0.4]),
    }


def prepared(net: PidNet, inputs: dict[str, torch.Tensor], **changes: int):
    """The conditioning of those arguments."""
    return net.prepare(
        inputs["caption_embeddings"], inputs["latent"], inputs["sigma"], 12, 20, **changes
    )


@pytest.mark.parametrize("path", sorted(KEYMAPS.glob("*PiD_*.json")), ids=lambda p: p.stem)
def test_names_and_shapes_are_the_released_ones(path: Path) -> None:
    keymap = json.loads(path.read_text())
    with torch.device("meta"):
        net = PidNet(PidNetSizes.from_official(keymap["net_kwargs"]))
    ours = {f"net.{name}": list(value.shape) for name, value in net.state_dict().items()}
    released = {tensor["key"]: tensor["shape"] for tensor in keymap["tensors"]}
    assert ours == released
    assert not list(net.buffers())


@pytest.mark.parametrize("path", sorted(KEYMAPS.glob("PixelDiT*.json")), ids=lambda p: p.stem)
def test_backbone_names_and_shapes_are_the_released_ones(path: Path) -> None:
    keymap = json.loads(path.read_text())
    with torch.device("meta"):
        net = PixelDit(PixelDitSizes.from_official(keymap["net_kwargs"]))
    prefix = keymap["prefix"]
    ours = {f"{prefix}{name}": list(value.shape) for name, value in net.state_dict().items()}
    released = {tensor["key"]: tensor["shape"] for tensor in keymap["tensors"]}
    assert ours == released


def test_a_net_built_on_meta_takes_the_tensors_themselves(net: PidNet) -> None:
    with torch.device("meta"):
        other = PidNet(net.sizes)
    state = net.state_dict()
    other.load_state_dict(state, assign=True)
    pointers = {name: value.data_ptr() for name, value in other.state_dict().items()}
    assert pointers == {name: value.data_ptr() for name, value in state.items()}


def test_prepared_steps_equal_whole_forwards(net: PidNet, inputs: dict[str, torch.Tensor]) -> None:
    conditioning = prepared(net, inputs)
    first = net.velocity(inputs["image"], inputs["timestep"], conditioning)
    again = net.velocity(inputs["image"], inputs["timestep"], conditioning)
    assert torch.equal(first, again)  # a step must not write into what the next one reads
    assert torch.equal(first, net(**inputs))


def test_chunks_do_not_change_the_result(net: PidNet, inputs: dict[str, torch.Tensor]) -> None:
    whole = net.velocity(inputs["image"], inputs["timestep"], prepared(net, inputs))
    for chunk in (1, 4, 15):
        conditioning = prepared(net, inputs, chunk_tokens=chunk)
        ours = net.velocity(inputs["image"], inputs["timestep"], conditioning)
        torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-5)


def test_heads_made_when_used_equal_kept_ones(
    net: PidNet, inputs: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = net(**inputs)
    monkeypatch.setattr(latent_branch, "_KEPT_HEADS_BYTES", 0)
    assert prepared(net, inputs).latent.heads is None
    torch.testing.assert_close(net(**inputs), kept, rtol=1e-4, atol=1e-5)


def test_another_caption_shares_the_latent(
    net: PidNet, inputs: dict[str, torch.Tensor], draw: Draw
) -> None:
    caption = draw(2, 4, 12)
    conditioning = prepared(net, inputs)
    other = net.with_caption(conditioning, caption)
    assert other.latent is conditioning.latent
    ours = net.velocity(inputs["image"], inputs["timestep"], other)
    assert torch.equal(ours, net(**{**inputs, "caption_embeddings": caption}))


def test_without_a_latent_only_text_counts(net: PidNet, inputs: dict[str, torch.Tensor]) -> None:
    ours = net(**{**inputs, "latent": None, "sigma": None})
    backbone = PixelDit(
        PixelDitSizes.from_official({k: v for k, v in OPTIONS.items() if k in BACKBONE_OPTIONS})
    )
    state = {k: v for k, v in net.state_dict().items() if k in backbone.state_dict()}
    backbone.load_state_dict(state)
    arguments = (inputs["image"], inputs["timestep"], inputs["caption_embeddings"])
    assert torch.equal(ours, backbone(*arguments))


BACKBONE_OPTIONS = {name for name in OPTIONS if not name.startswith(("lq_", "pit_", "sr_", "lat"))}


def test_weights_of_dead_text_layers_never_matter(inputs: dict[str, torch.Tensor]) -> None:
    net = make_net()
    before = net(**inputs)
    last = net.patch_blocks[-1]
    with torch.no_grad():
        for parameter in (*last.mlp_y.parameters(), *last.attn.proj_y.parameters()):
            parameter.fill_(float("nan"))
        last.attn.q_norm_y.weight.fill_(3.0)
    assert torch.equal(net(**inputs), before)


def test_velocity_field_scales_time_at_the_door(
    net: PidNet, inputs: dict[str, torch.Tensor]
) -> None:
    conditioning = prepared(net, inputs)
    ours = net.velocity_field(conditioning)(inputs["image"], 0.866)
    at_866 = net.velocity(inputs["image"], torch.full((2,), 866.0), conditioning)
    assert torch.equal(ours, at_866)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_give_the_same_image(
    inputs: dict[str, torch.Tensor], dtype: torch.dtype
) -> None:
    net, packed = make_net().to(dtype), make_net().to(dtype)
    pack_for_cpu(packed)
    assert sum(isinstance(module, PackedLinear) for module in packed.modules()) == 3 * 10 + 4 + 6
    truth, ours = net(**inputs), packed(**inputs)
    assert (ours - truth).norm() / truth.norm() < 4 * torch.finfo(dtype).eps


def test_bfloat16_keeps_images_and_streams_in_float32(inputs: dict[str, torch.Tensor]) -> None:
    net = make_net().to(torch.bfloat16)
    truth = make_net()
    truth.load_state_dict({k: v.float() for k, v in net.state_dict().items()})
    ours, exact = net(**inputs), truth(**inputs)
    assert ours.dtype == torch.float32
    assert (ours - exact).norm() / exact.norm() < 0.03


def test_sizes_that_do_not_fit_are_refused(net: PidNet, inputs: dict[str, torch.Tensor]) -> None:
    caption, latent, sigma = (inputs[name] for name in ("caption_embeddings", "latent", "sigma"))
    with pytest.raises(ShapeMismatch, match="multiples of 4 px, not 20 x 13"):
        net.prepare(caption, latent, sigma, 13, 20)
    with pytest.raises(ShapeMismatch, match=r"\[B, 8, h, w\], not \[2, 3, 12, 20\]"):
        net.prepare(caption, inputs["image"], sigma, 12, 20)
    with pytest.raises(ShapeMismatch, match=r"sigma \[2\]"):
        net.prepare(caption, latent, sigma[:1], 12, 20)
    with pytest.raises(ShapeMismatch, match=r"\[B, N, 12\]"):
        net.prepare(caption[..., :5], latent, sigma, 12, 20)
    with pytest.raises(ShapeMismatch, match="the conditioning is for"):
        net.velocity(inputs["image"][:1], inputs["timestep"], prepared(net, inputs))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lq_gate_type": "per_pixel"}, "gate is 'per_pixel'"),
        ({"lq_conv_padding_mode": "circular"}, "padding_mode is 'circular'"),
        ({"rope_mode": "yarn"}, "rope_mode is 'yarn'"),
        ({"lq_in_channels": 3}, "lq_in_channels=3 is not"),
        ({"enable_ed": True}, "enable_ed=True is not"),
        ({"made_up": 1}, "no option named 'made_up'"),
        ({"num_groups": 3}, "head sizes divisible by 4"),
        ({"lq_latent_unpatchify_factor": 3}, "cannot be unpatchified by 3"),
    ],
)
def test_options_that_no_network_has_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(CheckpointMismatch, match=message):
        PidNetSizes.from_official({**OPTIONS, **changes})


def test_missing_options_are_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="hidden_size"):
        PidNetSizes.from_official({k: v for k, v in OPTIONS.items() if k != "hidden_size"})
