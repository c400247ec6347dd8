# SPDX-License-Identifier: Apache-2.0
"""What the broker takes a device for before a worker has told it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pid_core.engines.compact import preferred_dtype
from pid_daemon import devices
from pid_daemon.devices import likely_dtype, worker_devices


def test_workers_follow_the_setting_and_what_is_visible() -> None:
    assert worker_devices("cuda:1, cpu") == ("cuda:1", "cpu")
    assert worker_devices("auto", {"CUDA_VISIBLE_DEVICES": "0,3"}) == ("cuda:0", "cuda:1")
    assert worker_devices("auto", {"CUDA_VISIBLE_DEVICES": ""}) == ("auto",)


@pytest.mark.skipif(not devices.CPU_FLAGS.exists(), reason="this system lists no CPU flags")
def test_the_guess_is_what_a_worker_chooses_here() -> None:
    assert likely_dtype("cpu") == preferred_dtype("cpu")


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n", "bfloat16"),
        ("flags : fpu amx_bf16 amx_tile\n", "bfloat16"),
        ("flags : fpu avx2\nmodel name : avx512_bf16\n", "float32"),
        ("", "float32"),
    ],
)
def test_a_cpu_says_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, dtype: str
) -> None:
    monkeypatch.setattr(devices, "CPU_FLAGS", tmp_path / "cpuinfo")
    assert likely_dtype("cpu") == "float32"
    (tmp_path / "cpuinfo").write_text(text)
    assert likely_dtype("cpu") == dtype
    assert (likely_dtype("cuda"), likely_dtype("mps")) == ("bfloat16", "float32")
