# SPDX-License-Identifier: Apache-2.0
"""PixelDiT: recognised, loaded exactly, and run from noise and captions to an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pid_core.checkpoints import load_pid, load_pixeldit
from pid_core.errors import CheckpointMismatch, InvalidOptions
from pid_core.inspect import Declared, describe
from pid_core.inspect.generations import PIXELDIT_VARIANTS, PixelDitVariant
from pid_core.networks.pixeldit import PixelDit, PixelDitSizes
from pid_core.samplers.noise import NoiseStream
from pid_core.text_to_image import text_to_image
from tests.pid_core import synthetic

FINE_TUNED = "PixelDiT_finetune_2kto4k"
ORIGINAL = "PixelDiT-1300M-1024px_core_layout"
GOLDEN = Path(__file__).parents[2] / "golden_data" / "sampler_t2i_dpmpp.safetensors"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return synthetic.network(FINE_TUNED, small=True)


def run(net: PixelDit, training: PixelDitVariant, seed: int = 3) -> torch.Tensor:
    stream = NoiseStream(seed)
    captions = [stream.draw((1, 300, net.sizes.caption_size)) for _ in range(2)]
    steps = list(text_to_image(net, training, *captions, stream.draw((1, 3, 64, 96)), num_steps=3))
    assert [step.index for step in steps] == [1, 2, 3]
    return steps[-1].state


def test_both_trainings_load_by_their_names(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    leftovers = {"core.pos_embed": torch.zeros(3), "core._repa_projector.0.weight": torch.zeros(2)}
    core = {f"core.{name}": tensor for name, tensor in tensors.items()}
    paths = {
        "2kto4k": synthetic.save_official(tensors, tmp_path, FINE_TUNED),
        "1024px": synthetic.save_comfy(
            {**core, **leftovers}, tmp_path / "pixeldit_1300m_1024px_bf16.safetensors", ""
        ),
    }
    images = []
    for name, path in paths.items():
        found = describe(path)
        assert (found.role, found.variant, found.problem) == ("pixeldit", name, "")
        net = load_pixeldit(path, found, dtype=torch.float32)
        official = synthetic.KEYMAPS["files"][FINE_TUNED if name == "2kto4k" else ORIGINAL]
        assert net.sizes.rope_mode == official["net_kwargs"]["rope_mode"]
        assert net.sizes.rope_reference_width_px == official["net_kwargs"]["rope_ref_w"]
        images.append(run(net, PIXELDIT_VARIANTS[name]))
        assert images[-1].shape == (1, 3, 64, 96) and torch.isfinite(images[-1]).all()
    assert not torch.allclose(*images)  # positions and shift differ


def test_the_user_s_word_goes_before_names(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = synthetic.save_official(tensors, tmp_path, FINE_TUNED)
    assert describe(path, Declared(variant="1024px")).variant == "1024px"
    assert "it is PixelDiT" in describe(path, Declared(variant="2k")).problem


@pytest.mark.parametrize("kind", ["mxfp8", "convrot"])
def test_quantised_files(tensors: dict[str, torch.Tensor], tmp_path: Path, kind: str) -> None:
    in_file, plain = synthetic.quantise(tensors, kind, "core.")
    path = synthetic.save_comfy(in_file, tmp_path / f"pixeldit_1300m_1024px_{kind}.safetensors", "")
    twin = synthetic.save_comfy(plain, tmp_path / "pixeldit_1300m_1024px.safetensors", "core.")
    ours, truth = (
        run(load_pixeldit(one, describe(one), dtype=torch.float32), PIXELDIT_VARIANTS["1024px"])
        for one in (path, twin)
    )
    assert (ours - truth).norm() / truth.norm() < 0.03


def test_files_of_the_other_kind_are_refused(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = synthetic.save_official(tensors, tmp_path, FINE_TUNED)
    with pytest.raises(CheckpointMismatch, match="no usable PiD file: pixeldit"):
        load_pid(path, describe(path))
    incomplete = {name: t for name, t in tensors.items() if name != "final_layer.norm.weight"}
    path = synthetic.save_comfy(incomplete, tmp_path / "pixeldit.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"missing: final_layer\.norm\.weight"):
        load_pixeldit(path, describe(path))
    network = synthetic.network(synthetic.V15_FLUX, small=True)
    path = synthetic.save_comfy(network, tmp_path / "pid_1.5_flux1.safetensors")
    with pytest.raises(CheckpointMismatch, match="no usable PixelDiT file: pid"):
        load_pixeldit(path, describe(path))


def test_the_run_is_the_official_one() -> None:
    with safe_open(GOLDEN, "pt") as file:
        metadata = json.loads(file.metadata()["golden"])
        golden = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    net = PixelDit(PixelDitSizes.from_official(metadata["config"]))
    prefix = "params."
    net.load_state_dict(
        {k.removeprefix(prefix): v.float() for k, v in golden.items() if k.startswith(prefix)}
    )
    checked = 0
    for index, made in enumerate(metadata["runs"]):
        if made["model_type"] != "flow":
            continue
        training = PixelDitVariant("golden", "original", 1024, made["shift"], None)
        *_, last = text_to_image(
            net,
            training,
            golden["in.y"],
            golden["in.y_null"],
            golden["in.noise"],
            num_steps=made["steps"],
            guidance=made["cfg_scale"],
        )
        limit = 1e-2 if made["steps"] == 1 else 2e-3
        assert (last.state - golden[f"run{index}.out_unclamped"]).abs().max() <= limit
        checked += 1
    assert checked >= 2
    with pytest.raises(InvalidOptions):
        text_to_image(
            net, training, golden["in.y"], golden["in.y_null"], golden["in.noise"], num_steps=0
        )
