# SPDX-License-Identifier: Apache-2.0
"""Full-size checkpoints in every layout, one at a time: load, and one step of 256 x 256 pixels.

Random numbers under the names and shapes of the released files; a file is removed before the next
one is written. Layers that the quantised files hold are inferred from their published sizes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pid_core.checkpoints import load_pid, load_pixeldit
from pid_core.inspect import describe
from pid_core.networks.pid_net import PidNet
from pid_core.networks.pixeldit import Backbone, Conditioning
from tests.pid_core import synthetic

pytestmark = pytest.mark.slow

# name, quantisation (None = as released), file name, bytes that are published for the layout
CASES = [
    ("v1 pth", synthetic.V1_FLUX, None, None, 2_724_842_961),
    ("v1.5 pth", synthetic.V15_FLUX, None, None, 2_800_546_587),
    ("v1.5 flux2 pth", synthetic.V15_FLUX2, None, None, 2_800_841_499),
    ("v1.5 comfy bf16", synthetic.V15_FLUX, None, "pid_1.5_flux1_1024_to_4096_4step_bf16",
     2_800_450_070),
    ("v1 mxfp8", synthetic.V1_FLUX, "mxfp8", "pid_flux1_1024_to_4096_4step_mxfp8", None),
    ("v1 float8", synthetic.V1_FLUX, "float8_e4m3fn", "pid_flux1_512_to_2048_4step_fp8", None),
    ("v1.5 scaled_fp8", synthetic.V15_FLUX, "scaled_fp8", "pid_1.5_flux1_1024_to_4096_4step", None),
    ("v1.5 int8 convrot", synthetic.V15_FLUX, "convrot",
     "pid_1.5_flux1_1024_to_4096_4step_int8_convrot", 1_584_813_952),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for path in tmp_path.rglob("*.*"):
        path.unlink()
    gc.collect()


@pytest.mark.parametrize(
    ("network", "kind", "file_name", "published_bytes"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_load_and_one_step(
    folder: Path, network: str, kind: str | None, file_name: str | None, published_bytes: int | None
) -> None:
    tensors = synthetic.network(network)
    expected = None
    if kind is not None:
        tensors, plain = synthetic.quantise(tensors, kind)
        expected = {name: plain[name] for name in LAYERS}
        del plain
    if file_name is None:
        path = synthetic.save_official(tensors, folder, network)
    else:
        path = synthetic.save_comfy(
            tensors, folder / f"{file_name}.safetensors", "net." if kind is None else ""
        )
    del tensors
    gc.collect()
    if published_bytes is not None:
        assert abs(path.stat().st_size - published_bytes) <= 20_000
    found = describe(path)
    assert not found.problem
    net = load_pid(path, found)
    if expected is not None:
        _holds(net, expected)
    _one_step(net)


def test_pixeldit(folder: Path) -> None:
    tensors, plain = synthetic.quantise(
        synthetic.network("PixelDiT-1300M-1024px_core_layout"), "mxfp8", "core."
    )
    expected = {name: plain[name] for name in LAYERS}
    del plain
    path = synthetic.save_comfy(tensors, folder / "pixeldit_1300m_1024px_mxfp8.safetensors", "")
    del tensors
    gc.collect()
    assert 1.32 < path.stat().st_size / 2**30 < 1.335  # 1.33 is published
    found = describe(path)
    assert (found.role, found.variant, found.layout) == ("pixeldit", "1024px", "mxfp8")
    net = load_pixeldit(path, found)
    _holds(net, expected)
    generator = torch.Generator().manual_seed(3)
    captions = torch.randn(1, 300, 2304, generator=generator)
    conditioning = net.prepare(captions, 256, 256)
    _moves(net, conditioning, torch.randn(1, 3, 256, 256, generator=generator))


LAYERS = (
    "patch_blocks.0.attn.qkv_x.weight",
    "patch_blocks.13.mlp_x.w2.weight",
    "pixel_blocks.1.attn.qkv.weight",
    "pixel_blocks.0.expand_from_attn.weight",
)


def _holds(net: Backbone, expected: dict[str, torch.Tensor]) -> None:
    """The dequantised weights are those that were quantised, to a bfloat16 rounding."""
    for name, weight in expected.items():
        ours = net.get_submodule(name.removesuffix(".weight")).weight.float()
        assert ours.shape == weight.shape
        assert (ours - weight).abs().max() <= weight.abs().max() * 2**-7
        error = (ours - weight).square().mean().sqrt() / weight.square().mean().sqrt()
        assert error <= 3e-3, name


def _one_step(net: PidNet) -> None:
    sizes = net.sizes
    cells = 256 // sizes.output_px_per_latent
    generator = torch.Generator().manual_seed(3)
    conditioning = net.prepare(
        torch.randn(1, 300, 2304, generator=generator),
        torch.randn(1, sizes.latent_channels, cells, cells, generator=generator),
        torch.zeros(1),
        256,
        256,
    )
    _moves(net, conditioning, torch.randn(1, 3, 256, 256, generator=generator))


def _moves(net: Backbone, conditioning: Conditioning, image: torch.Tensor) -> None:
    velocity = net.velocity_field(conditioning)(image, 0.999)
    assert velocity.shape == image.shape and torch.isfinite(velocity).all()
    assert velocity.std() > 0.01
