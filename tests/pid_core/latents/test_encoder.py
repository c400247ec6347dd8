# SPDX-License-Identifier: Apache-2.0
"""Encoders: every layout gives diffusers' own latent; tiles stay close to the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pid_core.errors import CheckpointMismatch, ShapeMismatch
from pid_core.inspect import Declared, describe
from pid_core.inspect.backbones import BACKBONES
from pid_core.latents.encoder import LatentEncoder
from pid_core.latents.normalise import Statistics, normalise
from pid_core.latents.vae import load_encoder
from tests.pid_core import synthetic_vae

LAYOUTS = [
    ("flux", "ldm", "ae.safetensors", "file name"),
    ("flux", "diffusers", "FLUX.1-dev/vae/model.safetensors", "folder name"),
    ("flux2", "ldm", "flux2_ae.safetensors", "weights"),
    ("flux2", "diffusers", "vae.safetensors", "weights"),
    ("sd3", "diffusers", "sd3_vae/vae/diffusion_pytorch_model.safetensors", "folder name"),
    ("sdxl", "ldm", "sdxl_vae.safetensors", "weights"),
    ("qwenimage", "wan", "qwen_image_vae.safetensors", "weights"),
    ("qwenimage", "diffusers", "x/vae.safetensors", "weights"),
    ("qwenimage", "wan-2d", "QwenImage_VAE_2d.pth", "weights"),
]


def encode(encoder: LatentEncoder, image: torch.Tensor, **options) -> torch.Tensor:
    work = encoder.encode(image, **options)
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value


def reference(family: str, image: torch.Tensor) -> torch.Tensor:
    """diffusers' own encoding, then the family's rule."""
    made, rule = synthetic_vae.vae(family), BACKBONES[family].normalisation
    with torch.no_grad():
        if family == "qwenimage":
            return normalise(made.encode(image.unsqueeze(2)).latent_dist.mean.squeeze(2), rule)
        statistics = None
        if family == "flux2":
            statistics = Statistics(made.bn.running_mean, made.bn.running_var)
        return normalise(made.encode(image).latent_dist.mean, rule, statistics)


@pytest.mark.parametrize(("family", "layout", "name", "decided_by"), LAYOUTS)
def test_every_layout(family: str, layout: str, name: str, decided_by: str, tmp_path: Path) -> None:
    path = synthetic_vae.save(synthetic_vae.vae(family), tmp_path / name, layout)
    found = describe(path)
    assert (found.family, found.family_from, found.problem) == (family, decided_by, "")
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latent = encode(load_encoder(path, family), image)
    row = BACKBONES[family]
    assert latent.shape == (1, row.channels, 64 // row.downsample, 96 // row.downsample)
    assert torch.allclose(latent, reference(family, image), atol=2e-5)


def test_a_config_tells_families_apart(tmp_path: Path) -> None:
    path = synthetic_vae.save(
        synthetic_vae.vae("sd3"), tmp_path / "vae" / "m.safetensors", "diffusers"
    )
    assert "neither the file's name nor its folders' names" in describe(path).problem
    (path.parent / "config.json").write_text('{"scaling_factor": 1.5305}', encoding="utf-8")
    assert (describe(path).family, describe(path).family_from) == ("sd3", "config.json")


def test_four_channels_alone_are_no_proof(tmp_path: Path) -> None:
    made = synthetic_vae.vae("sdxl")
    path = synthetic_vae.save(
        made, tmp_path / "vae-ft-mse-840000" / "vae-ft-mse.safetensors", "ldm"
    )
    assert "SDXL and SD 1.x alike" in describe(path).problem
    assert describe(path, Declared(family="sdxl")).problem == ""
    (path.parent / "config.json").write_text('{"scaling_factor": 0.18215}', encoding="utf-8")
    assert "VAE of SD 1.x" in describe(path).problem


def test_a_vae_of_another_family_is_refused(tmp_path: Path) -> None:
    path = synthetic_vae.save(synthetic_vae.vae("sdxl"), tmp_path / "sdxl_vae.safetensors", "ldm")
    with pytest.raises(CheckpointMismatch, match="You say FLUX.1"):
        load_encoder(path, "flux")
    assert "You say Qwen-Image" in describe(path, Declared(family="qwenimage")).problem


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    made = synthetic_vae.vae("flux")
    del made.encoder.mid_block.resnets[1].conv2
    path = synthetic_vae.save(made, tmp_path / "ae.safetensors", "ldm")
    with pytest.raises(CheckpointMismatch, match="mid_block.resnets.1.conv2.weight"):
        load_encoder(path, "flux")


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    path = synthetic_vae.save(synthetic_vae.vae("flux"), tmp_path / "ae.safetensors", "ldm")
    with pytest.raises(ShapeMismatch, match="no multiple of 8"):
        encode(load_encoder(path, "flux"), torch.zeros(1, 3, 64, 60))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["flux", "qwenimage"])
def test_tiles_stay_close_to_the_whole(family: str, tmp_path: Path) -> None:
    made = synthetic_vae.vae(family)
    name = {"flux": "ae.safetensors", "qwenimage": "qwen.safetensors"}[family]
    path = synthetic_vae.save(made, tmp_path / name, "diffusers")
    encoder = load_encoder(path, family)
    noise = torch.randn(1, 3, 80, 88, generator=torch.Generator().manual_seed(2))
    image = torch.nn.functional.interpolate(noise, scale_factor=8, mode="bicubic").tanh()
    whole = encode(encoder, image)
    tiled = encode(encoder, image, tile_px=448)
    error = (tiled - whole).square().mean().sqrt() / whole.square().mean().sqrt()
    assert error < {"flux": 0.1, "qwenimage": 0.005}[family]  # group norms see a whole tile
    # a seam would show as a step that the whole does not have
    step = (tiled.diff(dim=-1) - whole.diff(dim=-1)).abs().mean((0, 1, 2))
    assert step.max() <= 3 * step.median() + 0.002
