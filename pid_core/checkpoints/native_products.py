# SPDX-License-Identifier: Apache-2.0
"""Products of activations with quantised weights in the hardware's own int8 and float8 arithmetic.

Activations are quantised on the way in, as the formats are meant to be used, which costs about as
much precision as the weights' own rounding. A format is multiplied natively where the device has
the instructions and a small product comes out right; everywhere else layers dequantise.

Run here: int8 on a CPU with VNNI. The CUDA products call PyTorch's own kernels and are held by the
same probe before they are used; nobody has seen them run yet.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from pid_core.checkpoints.quantised_formats import (
    E4M3_MAX,
    MX_BLOCK,
    mx_quantised,
    mx_scales,
    mx_swizzled,
    mx_weight,
    widened,
)

_log = logging.getLogger(__name__)

FEW_ROWS = 16
"""So few rows are dequantised for: CUDA's int8 product takes no fewer, and nothing is gained."""
PROBE_ERROR = 0.08
"""Largest relative error of a probe: quantised activations make 0.01 (int8) to 0.04 (float8)."""
_INT8_MAX = 127.0
_SMALLEST = 1e-12
"""Keeps the scale of a row of zeros from being zero."""

Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""([n, in] float, [out, in] stored weight, its scales) -> [n, out] float32 or bfloat16."""


def int8_product(x: torch.Tensor, stored: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Every row of activations gets a scale of its own.

    Args:
        x: [n, in] float.
        stored: [out, in] int8.
        scale: [1, 1] or [out, 1] float32.
    Returns:
        [n, out] float32.
    """
    x_scale = x.abs().amax(-1, keepdim=True).float().clamp_min_(_SMALLEST).div_(_INT8_MAX)
    rows = (x / x_scale).round_().to(torch.int8)
    return (torch.ops.aten._int_mm(rows, stored.T) * x_scale).mul_(scale.T)


def float8_product(x: torch.Tensor, stored: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """All activations share one scale: float8 keeps its relative precision over 17 octaves.

    Args:
        x: [n, in] float.
        stored: [out, in] float8_e4m3fn or float8_e5m2.
        scale: [1, 1] float32.
    Returns:
        [n, out] bfloat16.
    """
    x_scale = x.abs().amax().float().clamp_min_(_SMALLEST).div_(E4M3_MAX)
    rows = (x / x_scale).to(torch.float8_e4m3fn)
    return torch.ops.aten._scaled_mm(
        rows, stored.T, x_scale, scale.reshape(()), out_dtype=torch.bfloat16
    )


def mx_product(x: torch.Tensor, stored: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Activations in blocks of 32 neighbours, as the weight has them.

    Args:
        x: [n, in] float.
        stored: [out, in] float8_e4m3fn.
        scale: exponents as the file has them, in cuBLAS' tile order.
    Returns:
        [n, out] bfloat16.
    """
    rows, exponents = mx_quantised(x)
    return torch.ops.aten._scaled_mm(
        rows,
        stored.T,
        mx_swizzled(exponents).view(torch.float8_e8m0fnu),
        scale.view(torch.float8_e8m0fnu),
        out_dtype=torch.bfloat16,
    )


@dataclass(frozen=True)
class Native:
    """How one format is multiplied, and where."""

    product: Product
    cuda: tuple[int, int]
    """Least compute capability. Source: ComfyUI 0.33 as facts."""
    cpu: tuple[str, ...] = ()
    """Capabilities of a CPU any of which will do; none = no CPU has it."""
    granule: int = 16
    """Both sides of a weight are multiples of this."""


NATIVE: Mapping[str, Native] = {
    "int8_tensorwise": Native(
        int8_product, (7, 5), ("avx512_vnni", "avx_vnni", "amx_int8"), granule=8
    ),
    "float8_e4m3fn": Native(float8_product, (8, 9)),
    "float8_e5m2": Native(float8_product, (8, 9)),
    "mxfp8": Native(mx_product, (10, 0), granule=MX_BLOCK),
}
"""By the format's name."""


def native_product(
    kind: str, device: torch.device, stored: torch.Tensor, scale: torch.Tensor | None
) -> Product | None:
    """The product for one layer; None = dequantise.

    Args:
        kind: name of the format.
        device: where the layer computes.
        stored: its weight.
        scale: its scales; None = 1.
    """
    native = NATIVE[kind]
    fits = not (stored.shape[0] % native.granule or stored.shape[1] % native.granule)
    is_one_scale = scale is None or scale.numel() == 1
    if not fits or (native.product is float8_product and not is_one_scale):
        return None
    return native.product if is_usable(kind, str(device)) else None


@functools.cache
def is_usable(kind: str, device: str) -> bool:
    """Whether a device has the instructions, and a small product comes out right."""
    if not _has_instructions(NATIVE[kind], torch.device(device)):
        return False
    try:
        error = probe_error(kind, torch.device(device))
    except (RuntimeError, ValueError) as failure:
        reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        _log.warning("%s weights are dequantised on %s: %s", kind, device, reason)
        return False
    if not error <= PROBE_ERROR:  # also refuses NaN
        _log.warning(
            "%s weights are dequantised on %s: products are off by %.2g", kind, device, error
        )
        return False
    return True


def _has_instructions(native: Native, device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.version.hip is None and torch.cuda.get_device_capability(device) >= native.cuda
    if device.type == "cpu":
        there = torch.cpu.get_capabilities()
        return any(there.get(name, False) for name in native.cpu)
    return False


def probe_error(kind: str, device: torch.device) -> float:
    """Relative error of one product whose rows, columns and scales all differ.

    Raises:
        RuntimeError, ValueError: the device has no such kernel after all.
    """
    generator = torch.Generator().manual_seed(0)
    rows, columns = 256, 384  # more than one tile of mxfp8's scales in both directions
    x = torch.randn(64, columns, generator=generator).to(device, torch.bfloat16)
    weight = torch.randn(rows, columns, generator=generator).to(device)
    weight *= torch.linspace(0.5, 2, rows, device=device).unsqueeze(1)
    weight *= torch.linspace(2, 0.5, columns, device=device)
    stored, scale = simply_quantised(kind, weight)
    if kind == "mxfp8":
        exact = mx_weight(stored, mx_scales(scale, rows, columns), torch.float32)
    else:
        exact = widened(stored, torch.float32) * scale
    truth = x.float() @ exact.T
    ours = NATIVE[kind].product(x, stored, scale).float()
    return float((ours - truth).norm() / truth.norm())


def simply_quantised(kind: str, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight in a format, with one scale where the format has no blocks.

    Args:
        kind: name of the format.
        weight: [out, in] float32.
    Returns:
        The stored weight and its scales, as files hold them.
    """
    if kind == "mxfp8":
        stored, exponents = mx_quantised(weight)
        return stored, mx_swizzled(exponents)
    is_int8 = kind == "int8_tensorwise"
    dtype = torch.int8 if is_int8 else getattr(torch, kind)
    scale = (weight.abs().max() / (_INT8_MAX if is_int8 else torch.finfo(dtype).max)).view(1, 1)
    stored = weight / scale
    return (stored.round() if is_int8 else stored).to(dtype), scale
