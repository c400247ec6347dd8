# SPDX-License-Identifier: Apache-2.0
"""The worker's device as torch sees it. Imports torch, so only the worker may import this, and
late."""

from __future__ import annotations

import gc

import psutil
import torch

CPU_MEMORY_TEXTS = ("not enough memory", "can't allocate memory", "Cannot allocate memory")
"""How torch's CPU allocator puts it, by version and system."""


def resolve_device(name: str) -> tuple[str, str]:
    """Turn the broker's word into a device that is there.

    Returns:
        Torch's name, and a sentence for people when it is not what was asked for.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda:0", ""
        return ("mps" if torch.backends.mps.is_available() else "cpu"), ""
    if name.startswith("cuda") and not torch.cuda.is_available():
        return "cpu", f"{name} is not usable with this torch ({torch.__version__}); the CPU works."
    if name == "mps" and not torch.backends.mps.is_available():
        return "cpu", "mps is not usable with this torch; the CPU works."
    return name, ""


def free_bytes(device: str) -> int:
    """Memory that the device has now, what torch merely keeps included."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available


def total_bytes(device: str) -> int:
    """Memory of the device."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[1]
    return psutil.virtual_memory().total


def give_back() -> None:
    """Let go of what nobody refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the memory ran out; on the CPU torch says so by a plain
    RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in CPU_MEMORY_TEXTS)
