# SPDX-License-Identifier: Apache-2.0
"""Loading: every layout gives the same network, and nothing but the exact tensors is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pid_core.checkpoints import load_pid, native_products
from pid_core.errors import CheckpointMismatch
from pid_core.inspect import Declared, describe
from pid_core.networks.pid_net import PidNet
from tests.pid_core import synthetic


def _velocity(net: PidNet, latent_channels: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    cells = 64 // net.sizes.output_px_per_latent if net.sizes.output_px_per_latent <= 64 else 1
    side = cells * net.sizes.output_px_per_latent
    return net(
        torch.randn(1, 3, side, side, generator=generator),
        torch.tensor([634.0]),
        torch.randn(1, 300, net.sizes.caption_size, generator=generator),
        torch.randn(1, latent_channels, cells, cells, generator=generator),
        torch.tensor([0.1]),
    )


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return synthetic.network(synthetic.V15_FLUX, small=True)


@pytest.fixture(scope="module")
def reference(tensors: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory):
    path = synthetic.save_comfy(tensors, tmp_path_factory.mktemp("r") / "pid_1.5_flux1.safetensors")
    return _velocity(load_pid(path, describe(path), dtype=torch.float32))


def test_official_pth(tensors, reference, tmp_path: Path) -> None:
    path = synthetic.save_official(tensors, tmp_path, synthetic.V15_FLUX)
    found = describe(path)
    assert (found.generation, found.family, found.family_from) == ("v1.5", "flux", "folder name")
    assert (found.variant, found.is_distilled, found.problem) == ("2kto4k_v1pt5", True, "")
    assert torch.equal(_velocity(load_pid(path, found, dtype=torch.float32)), reference)


def test_a_pth_is_converted_once(tensors, reference, tmp_path: Path) -> None:
    path = synthetic.save_official(tensors, tmp_path, synthetic.V15_FLUX)
    cache = tmp_path / "cache"
    for _ in range(2):
        net = load_pid(path, describe(path), dtype=torch.float32, cache_folder=cache)
        assert torch.equal(_velocity(net), reference)
    assert [file.suffix for file in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("prefix", ["", "net.", "core.", "model.diffusion_model.net."])
def test_prefixes(tensors, reference, tmp_path: Path, prefix: str) -> None:
    path = synthetic.save_comfy(tensors, tmp_path / "pid_1.5_flux1.safetensors", prefix)
    assert torch.equal(_velocity(load_pid(path, describe(path), dtype=torch.float32)), reference)


def test_training_leftovers_are_dropped(tensors, reference, tmp_path: Path) -> None:
    extra = {
        "net_ema.s_embedder.proj.weight": torch.zeros(2),
        "fake_score.x": torch.zeros(2),
        "net.lq_proj.lq_aux_rgb_head.0.weight": torch.zeros(2),
    }
    named = {f"net.{name}": tensor for name, tensor in tensors.items()}
    path = synthetic.save_comfy({**named, **extra}, tmp_path / "pid_1.5_flux1.safetensors", "")
    assert torch.equal(_velocity(load_pid(path, describe(path), dtype=torch.float32)), reference)


def test_split_modulation(tensors, reference, tmp_path: Path) -> None:
    path = synthetic.save_comfy(
        synthetic.split_modulation(tensors), tmp_path / "pid_1.5_flux1.safetensors"
    )
    assert torch.equal(_velocity(load_pid(path, describe(path), dtype=torch.float32)), reference)


@pytest.mark.parametrize("kind", synthetic.KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantised_equals_dequantised(
    tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(native_products, "is_usable", lambda *_: False)
    quantised, exact, plain = _quantised_and_plain(tensors, tmp_path, kind, dtype)
    error, own = _relative(quantised, exact), _relative(plain, exact)
    assert error <= max(2e-6, 1.5 * own), f"{error} against {own} without quantisation"


@pytest.mark.parametrize("kind", ["int8_tensorwise", "convrot", "float8_e4m3fn", "float8_e5m2"])
def test_native_products_stay_near(
    tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    found = []
    for is_usable in (True, False):
        monkeypatch.setattr(native_products, "is_usable", lambda *_, usable=is_usable: usable)
        found.append(_quantised_and_plain(tensors, tmp_path, kind, torch.bfloat16))
    (native, exact, plain), (dequantised, *_) = found
    assert not torch.equal(native, dequantised)
    error, own = _relative(native, exact), _relative(plain, exact)
    assert error < 2 * own, f"{error} against {own} without quantisation"


def _quantised_and_plain(
    tensors: dict[str, torch.Tensor], folder: Path, kind: str, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a quantised network, its dequantised twin in float32 and in `dtype` say."""
    in_file, plain = synthetic.quantise(tensors, kind)
    path = synthetic.save_comfy(in_file, folder / "pid_1.5_flux1_q.safetensors", "")
    twin = synthetic.save_comfy(plain, folder / "pid_1.5_flux1.safetensors")
    found = describe(path)
    expected = {"convrot": "int8_tensorwise+convrot"}.get(kind, kind)
    assert (found.layout, found.problem) == (expected, "")
    return (
        _velocity(load_pid(path, found, dtype=dtype)),
        _velocity(load_pid(twin, describe(twin), dtype=torch.float32)),
        _velocity(load_pid(twin, describe(twin), dtype=dtype)),
    )


def _relative(ours: torch.Tensor, truth: torch.Tensor) -> float:
    return float((ours - truth).norm() / truth.norm())


def test_quantised_weights_stay_small(tensors, tmp_path: Path) -> None:
    in_file, _ = synthetic.quantise(tensors, "convrot")
    path = synthetic.save_comfy(in_file, tmp_path / "pid_1.5_flux1.safetensors", "")
    net = load_pid(path, describe(path))
    layer = net.patch_blocks[0].attn.qkv_x
    held = sum(t.numel() * t.itemsize for t in layer.state_dict().values())
    assert held <= 144 * 48 + 144 * 4


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        ("missing", "missing: patch_blocks.0.attn.qkv_x.weight"),
        ("extra", "unknown to the network: surprise.weight"),
        ("shape", "of another shape: final_layer.linear.weight [3, 8] instead of [3, 16]"),
        ("prefix", "unknown to the network"),
    ],
)
def test_inexact_files_are_refused(tensors, tmp_path: Path, mutation: str, words: str) -> None:
    broken = {f"net.{name}": tensor for name, tensor in tensors.items()}
    if mutation == "missing":
        del broken["net.patch_blocks.0.attn.qkv_x.weight"]
    elif mutation == "extra":
        broken["net.surprise.weight"] = torch.zeros(1)
    elif mutation == "shape":
        broken["net.final_layer.linear.weight"] = torch.zeros(3, 8)
    else:
        broken["wrong.final_layer.norm.weight"] = broken.pop("net.final_layer.norm.weight")
    path = synthetic.save_comfy(broken, tmp_path / "pid_1.5_flux1.safetensors", "")
    with pytest.raises(CheckpointMismatch) as caught:
        load_pid(path, describe(path))
    assert words in str(caught.value)


@pytest.mark.parametrize("name", [n for n in synthetic.KEYMAPS["files"] if n.startswith("PiD")])
def test_every_released_network_is_recognised(name: str, tmp_path: Path) -> None:
    path = synthetic.save_official(synthetic.network(name, small=True), tmp_path, name)
    found = describe(path)
    assert not found.problem
    assert found.generation == ("v1.5" if "v1pt5" in name else "v1")
    assert f"_{found.family}_" in name
    assert found.is_distilled == ("undistilled" not in name)
    assert found.variant == (
        "2kto4k_v1pt5" if "v1pt5" in name else "2kto4k" if "2kto4k" in name else "2k"
    )
    net = load_pid(path, found, dtype=torch.float32)
    official = synthetic.KEYMAPS["files"][name]["net_kwargs"]
    assert net.sizes.padding_mode == official["lq_conv_padding_mode"]
    assert net.sizes.rope_reference_width_px == official["rope_ref_w"]
    assert net.sizes.upscale == official["sr_scale"]
    assert net.sizes.downsample == official["latent_spatial_down_factor"]
    assert net.sizes.unpatchify == official["lq_latent_unpatchify_factor"]
    assert torch.isfinite(_velocity(net, official["lq_latent_channels"])).all()


def test_a_mislabelled_family_is_refused(tensors, tmp_path: Path) -> None:
    path = synthetic.save_comfy(tensors, tmp_path / "pid_sdxl_1024_to_4096_4step.safetensors")
    assert "file name says SDXL" in describe(path).problem
    path = synthetic.save_comfy(tensors, tmp_path / "mystery.safetensors")
    assert "neither the file's name nor its folders' names say which" in describe(path).problem
    assert describe(path, Declared(family="qwenimage")).family == "qwenimage"
    assert "You say SDXL" in describe(path, Declared(family="sdxl")).problem
    for word, said in (("2k", "2k is v1"), ("1024px", "1024px is none of PiD's")):
        assert said in describe(path, Declared(family="flux", variant=word)).problem
    path = synthetic.save_comfy(tensors, tmp_path / "pid_1.5_flux1.safetensors")
    assert "its file name says" in describe(path, Declared(family="sd3")).problem
