# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of quantised weights: float8, mxfp8 with its swizzled scales, rotated int8.

Pure functions of tensors on any device. Source: comfy-kitchen 0.2.31 as facts; mxfp8 and convrot
were checked against its eager code, no released quantised PiD file was seen.
"""

from __future__ import annotations

import torch

MX_BLOCK = 32
"""Neighbouring columns that share one mxfp8 scale."""
_MX_TILE_ROWS, _MX_TILE_COLUMNS = 128, 4
_E8M0_BIAS = 127


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

    The matrix is the Kronecker power of [[1,1,1,-1],[1,1,-1,1],[1,-1,1,1],[-1,1,1,1]] / 2, which is
    "sum of the four, minus twice the mirrored one": no matrix is needed.

    Args:
        x: [..., columns] float; computed in float32.
        group: a power of 4 that divides the columns.
    Returns:
        [..., columns] in the dtype of `x`.
    """
    stages = (group.bit_length() - 1) // 2
    groups = x.float().unflatten(-1, (-1, *(4,) * stages))
    for axis in range(-stages, 0):
        groups = (groups.sum(axis, keepdim=True) - 2 * groups.flip(axis)) * 0.5
    return groups.flatten(-stages - 1).to(x.dtype)
