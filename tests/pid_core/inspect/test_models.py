# SPDX-License-Identifier: Apache-2.0
"""The list of models: found by content in every tree, completed, refused in words, and quick."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pid_core.errors import CheckpointMismatch, CheckpointMissing
from pid_core.inspect import choose, scan
from tests.pid_core import synthetic
from tests.pid_core.synthetic_set import PidSet, write_set


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PidSet:
    return write_set(tmp_path_factory.mktemp("models"))


def test_a_complete_set(files: PidSet) -> None:
    rows = scan([files.folder])
    network, vae, encoder = rows
    assert (network.kind, network.family, network.version) == ("pid", "flux", "v1.5")
    assert (network.state, network.variant, network.layout) == ("ready", "2kto4k_v1pt5", "bf16")
    assert "no commercial use" in network.licence
    assert (vae.kind, vae.family, encoder.kind) == ("vae", "flux", "text-encoder")
    assert network.goes_with == (vae.id, encoder.id) and network.lacks == ()
    assert len({row.id for row in rows}) == 3
    assert json.loads(json.dumps(network.to_dict()))["path"] == str(files.weights)


def test_what_is_lacking_is_said(files: PidSet, tmp_path: Path) -> None:
    weights = tmp_path / files.weights.name
    weights.write_bytes(files.weights.read_bytes())
    (row,) = scan([tmp_path])
    assert row.lacks == ("the VAE of FLUX.1, Z-Image", "the caption encoder Gemma 2 2B")
    (row,) = scan([tmp_path], has_empty_prompt=True)
    assert row.lacks == ("the VAE of FLUX.1, Z-Image",)


def test_the_hub_cache_lists_a_file_once(files: PidSet, tmp_path: Path) -> None:
    repository = tmp_path / "models--Comfy-Org--PixelDiT"
    blob = repository / "blobs" / "0123"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(files.weights.read_bytes())
    for commit in ("aaa", "bbb"):
        link = repository / "snapshots" / commit / "diffusion_models" / files.weights.name
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    rows = scan([tmp_path])
    assert [(row.kind, row.family) for row in rows] == [("pid", "flux")]


def test_links_in_circles_end(files: PidSet, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(files.folder)
    for name in ("a", "b", "c"):
        (tmp_path / name).symlink_to(tmp_path)
    assert len(scan([tmp_path])) == 3


def test_refusals_and_strangers(files: PidSet, tmp_path: Path) -> None:
    tensors = synthetic.network(synthetic.V15_FLUX, small=True)
    synthetic.save_comfy(tensors, tmp_path / "pid_sdxl_1024_to_4096_4step.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(files.weights.read_bytes()[:5000])
    save_file({"lora.down.weight": torch.zeros(2)}, tmp_path / "lora.safetensors")
    (tmp_path / "notes.txt").write_text("not looked at", encoding="utf-8")
    states = {Path(row.path).name: (row.state, row.problem) for row in scan([tmp_path])}
    assert states["pid_sdxl_1024_to_4096_4step.safetensors"][0] == "refused"
    assert "file name says SDXL" in states["pid_sdxl_1024_to_4096_4step.safetensors"][1]
    assert states["lora.safetensors"][0] == states["cut.safetensors"][0] == "unrelated"
    assert len(states) == 3


def test_headers_are_remembered(files: PidSet, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "headers.json"
    first = scan([files.folder], cache_file=cache)
    from pid_core.inspect import models

    monkeypatch.setattr(models, "describe", lambda *_: pytest.fail("a known file was read again"))
    assert scan([files.folder], cache_file=cache) == first
    cache.write_text("{", encoding="utf-8")
    monkeypatch.undo()
    assert scan([files.folder], cache_file=cache) == first


def test_a_large_tree_is_quick(tmp_path: Path) -> None:
    for index in range(300):
        save_file(
            {f"block.{i}.weight": torch.zeros(1) for i in range(50)},
            tmp_path / f"lora_{index}.safetensors",
        )
    cache = tmp_path / "cache" / "headers.json"
    scan([tmp_path], cache_file=cache)
    start = time.process_time()
    assert len(scan([tmp_path], cache_file=cache)) == 300
    assert time.process_time() - start < 0.5


def test_choosing(files: PidSet, tmp_path: Path) -> None:
    rows = scan([files.folder])
    chosen = choose(rows)
    assert (chosen.weights, chosen.vae, chosen.text_encoder) == (
        files.weights,
        files.vae,
        files.text_encoder,
    )
    assert choose(rows, weights=rows[0].id) == choose(rows, weights=str(files.weights)) == chosen
    with pytest.raises(CheckpointMissing, match="neither a file nor a known model"):
        choose(rows, weights="nothing")
    with pytest.raises(CheckpointMismatch, match="it is a vae file"):
        choose(rows, weights=str(files.vae))
    with pytest.raises(CheckpointMismatch, match="cannot be used as the VAE"):
        choose(rows, vae=str(files.weights))
    other = write_set(tmp_path, "sdxl")
    with pytest.raises(CheckpointMismatch, match="You say FLUX.1"):
        choose(rows, vae=str(other.vae))
    with pytest.raises(CheckpointMissing, match="VAE of SDXL"):
        choose(rows, weights=str(other.weights))


def test_inspecting_needs_no_torch() -> None:
    code = "import pid_core.inspect, pid_core.plan.decode, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
