# SPDX-License-Identifier: Apache-2.0
"""Which devices get a worker, decided without torch: the broker must not import it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

NVIDIA_NODES = Path("/dev")
CPU_FLAGS = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def worker_devices(setting: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Turn the `device` setting into one name per worker.

    Args:
        setting: `auto`, or names separated by commas.
        environment: os.environ where it is left out.
    Returns:
        Torch device names, or `auto` once when only torch itself can tell (Apple, AMD, no GPU).
    """
    names = tuple(part.strip() for part in setting.split(",") if part.strip())
    if names and names != ("auto",):
        return names
    environment = os.environ if environment is None else environment
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    count = len([part for part in visible.split(",") if part]) if visible is not None else _nvidia()
    return tuple(f"cuda:{index}" for index in range(count)) or ("auto",)


def likely_dtype(device: str) -> str:
    """The arithmetic that a worker will probably choose, for plans before there was one.

    Args:
        device: kind of device: `cpu`, `cuda`, `mps`.
    Returns:
        `float32` or `bfloat16`; a CPU that does not say what it can is taken for one that cannot.
    """
    if device != "cpu":
        return "bfloat16" if device == "cuda" else "float32"
    try:
        lines = CPU_FLAGS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return "float32"
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return "bfloat16" if BFLOAT16_FLAGS.intersection(flags) else "float32"


def _nvidia() -> int:
    try:
        return sum(bool(re.fullmatch(r"nvidia\d+", name)) for name in os.listdir(NVIDIA_NODES))
    except OSError:
        return 0
