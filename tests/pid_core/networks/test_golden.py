# SPDX-License-Identifier: Apache-2.0
"""Every golden file meets its gates, and a file that was tampered with does not."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

TESTS = Path(__file__).parents[2]
COMMITTED = TESTS / "golden_data"
SHARED = TESTS.parents[1] / "shared" / "golden"


def run(*paths: Path) -> subprocess.CompletedProcess[str]:
    """The script as a person runs it."""
    command = [sys.executable, str(TESTS / "golden.py"), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@functools.cache
def verdicts(folder: Path) -> dict[str, str]:
    """One line of the script for each file of a folder, from a single run."""
    lines = run(*folder.glob("*.safetensors")).stdout.splitlines()
    return {line.partition(":")[0]: line for line in lines}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", files(COMMITTED))
def test_every_gate_is_met(name: str) -> None:
    assert "met all" in verdicts(COMMITTED)[name], verdicts(COMMITTED)[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", files(SHARED))
def test_every_gate_of_the_whole_set_is_met(name: str) -> None:
    assert "met all" in verdicts(SHARED)[name], verdicts(SHARED)[name]


def copy_with(path: Path, target: Path, key: str, factor: float) -> Path:
    """A copy in which one value of one tensor is multiplied."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    changed = tensors[key].clone()
    changed.view(-1)[changed.abs().argmax()] *= factor
    tensors[key] = changed
    save_file(tensors, target, metadata)
    return target


@pytest.mark.parametrize(
    ("key", "factor"),
    [
        ("params.lq_proj.latent_proj.3.block.0.weight", 1.01),
        ("params.patch_blocks.1.attn.q_norm_x.weight", 1.01),
        ("case0.out", 1.001),
    ],
)
def test_a_corrupted_network_file_fails(tmp_path: Path, key: str, factor: float) -> None:
    file = COMMITTED / "realheads_64_72_v15.safetensors"
    corrupted = copy_with(file, tmp_path / "corrupted.safetensors", key, factor)
    result = run(corrupted)
    assert result.returncode == 1
    assert "MISSED" in result.stdout


def test_a_corrupted_sampler_file_fails(tmp_path: Path) -> None:
    file = COMMITTED / "sampler_t2i_dpmpp.safetensors"
    corrupted = copy_with(file, tmp_path / "corrupted.safetensors", "run1.out_unclamped", 1.01)
    assert run(corrupted).returncode == 1


def test_a_table_that_nobody_checks_fails(tmp_path: Path) -> None:
    path = tmp_path / "unknown.safetensors"
    save_file({"unheard_of.value": torch.ones(1)}, path, {"golden": json.dumps({"kind": "tables"})})
    result = run(path)
    assert result.returncode == 1
    assert "no checker for the table 'unheard_of'" in result.stdout


def test_an_unknown_kind_fails(tmp_path: Path) -> None:
    path = tmp_path / "unknown.safetensors"
    save_file({"x": torch.ones(1)}, path, {"golden": json.dumps({"kind": "video"})})
    assert run(path).returncode == 1
