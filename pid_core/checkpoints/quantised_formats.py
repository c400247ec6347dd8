# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of quantised formats: float8, mxfp8 with its swizzled scales, rotated int8.

Pure functions of tensors on any device. Source: comfy-kitchen 0.2.31 as facts; mxfp8 and convrot
were checked against its eager code, no released quantised PiD file was seen.
"""

from __future__ import annotations

import functools

import torch
from torch.nn import functional as F

MX_BLOCK = 32
"""Neighbouring columns that share one mxfp8 scale."""
_MX_TILE_ROWS, _MX_TILE_COLUMNS = 128, 4
_E8M0_BIAS = 127
E4M3_MAX = 448.0
"""Largest number in float8_e4m3fn."""


def mx_scales(stored: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Undo the tile order in which cuBLAS keeps mxfp8's scales.

    Args:
        stored: exponent bytes (or float8_e8m0fnu), as many as [roundup(rows, 128),
            roundup(columns / 32, 4)].
        rows: rows of the weight, at most as many as are stored.
        columns: columns of the weight, a multiple of 32.
    Returns:
        [rows, columns / 32] uint8 exponents.
    """
    blocks = columns // MX_BLOCK
    tile_rows = -(-rows // _MX_TILE_ROWS)
    tile_columns = -(-blocks // _MX_TILE_COLUMNS)
    # inside a tile, row r lies at (r mod 32, r div 32)
    tiles = stored.view(torch.uint8).reshape(tile_rows, tile_columns, 32, 4, _MX_TILE_COLUMNS)
    plain = tiles.permute(0, 3, 2, 1, 4).reshape(tile_rows * _MX_TILE_ROWS, -1)
    return plain[:rows, :blocks].contiguous()


def mx_swizzled(exponents: torch.Tensor) -> torch.Tensor:
    """Bring exponents into the tile order of `mx_scales`, padded with zeros.

    Args:
        exponents: [rows, columns / 32] uint8.
    Returns:
        [roundup(rows, 128), roundup(columns / 32, 4)] uint8.
    """
    rows, blocks = exponents.shape
    pad_rows, pad_blocks = -rows % _MX_TILE_ROWS, -blocks % _MX_TILE_COLUMNS
    padded = F.pad(exponents, (0, pad_blocks, 0, pad_rows))
    tiles = padded.view(-1, 4, 32, padded.shape[1] // _MX_TILE_COLUMNS, _MX_TILE_COLUMNS)
    return tiles.permute(0, 3, 2, 1, 4).reshape(padded.shape)


def mx_quantised(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise to mxfp8: the smallest power of two under which a block fits float8_e4m3fn.

    Args:
        values: [rows, columns] float, columns a multiple of 32.
    Returns:
        [rows, columns] float8_e4m3fn and [rows, columns / 32] uint8 exponents in plain order.
    """
    blocks = values.float().unflatten(1, (-1, MX_BLOCK))
    exponents = torch.ceil(torch.log2(blocks.abs().amax(-1) / E4M3_MAX)) + _E8M0_BIAS
    exponents.clamp_(0, 2 * _E8M0_BIAS)
    scaled = blocks * torch.exp2(_E8M0_BIAS - exponents).unsqueeze(-1)
    return scaled.flatten(1).to(torch.float8_e4m3fn), exponents.to(torch.uint8)


def mx_weight(stored: torch.Tensor, exponents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Dequantise mxfp8.

    Args:
        stored: [rows, columns] float8_e4m3fn.
        exponents: [rows, columns / 32] uint8, in plain order; 0 stands for an all-zero block.
        dtype: of the result.
    Returns:
        [rows, columns]. Scales are powers of two, so bfloat16 holds every value exactly.
    """
    scale = torch.exp2(exponents.float() - _E8M0_BIAS).masked_fill_(exponents == 0, 0).to(dtype)
    blocks = widened(stored, dtype).unflatten(1, (-1, MX_BLOCK))
    return (blocks * scale.unsqueeze(-1)).flatten(1)


def widened(stored: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Quantised values in the arithmetic's dtype, exactly.

    PyTorch converts float8 on a CPU one by one; with its exponent moved into bfloat16's place the
    same byte is the same number times 2^-120, and that converts several times as fast.

    Args:
        stored: float8 or int8; no NaN, which no weight has.
        dtype: float32 or bfloat16, both of which hold every value.
    """
    if stored.device.type != "cpu" or stored.dtype != torch.float8_e4m3fn:
        return stored.to(dtype)
    sign_and_rest = -0x8000 | 0x07F0
    bits = (stored.view(torch.int8).to(torch.int16) << 4).bitwise_and_(sign_and_rest)
    return bits.view(torch.bfloat16).to(dtype).mul_(2.0**120)


def rotate(x: torch.Tensor, group: int) -> torch.Tensor:
    """Rotate groups of the last axis by the regular Hadamard matrix; the rotation is its own
    inverse.

    Args:
        x: [..., columns] float32 or bfloat16; both hold the matrix exactly.
        group: a power of 4 that divides the columns.
    Returns:
        [..., columns] in the dtype of `x`.
    """
    return (x.unflatten(-1, (-1, group)) @ _hadamard(group, x.dtype, str(x.device))).flatten(-2)


@functools.cache
def _hadamard(size: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """[size, size]: the Kronecker power of a symmetric 4 x 4 matrix, its rows of length 1."""
    block = torch.tensor([[1.0, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]]) / 2
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, block)
    return matrix.to(device, dtype)
