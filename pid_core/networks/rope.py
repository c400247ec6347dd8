# SPDX-License-Identifier: Apache-2.0
"""Rotary positions of image and caption tokens; tables are built in float64 on the CPU."""

from __future__ import annotations

import torch

GRID_SPAN = 16.0
"""Positions run from 0 to this along both axes: they say where in the *whole* image."""
IMAGE_THETA = 10000.0


def image_table(
    rows: int, columns: int, head_size: int, reference: tuple[float, float] | None
) -> torch.Tensor:
    """Rotations of a grid of patches.

    Args:
        rows: patches along the height.
        columns: patches along the width.
        head_size: channels of an attention head; divisible by 4.
        reference: (rows, columns) for which the base needs no adjustment; None = never adjust it.
    Returns:
        [rows * columns, head_size / 2] complex64 of modulus 1; pairs 0, 2, … turn with x, pairs 1,
        3, … with y.
    Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::precompute_freqs_cis_2d(_ntk)
    """
    reference_rows, reference_columns = reference or (rows, columns)
    y = _axis_angles(rows, head_size, rows / reference_rows)
    x = _axis_angles(columns, head_size, columns / reference_columns)
    angles = torch.stack(
        (x.expand(rows, -1, -1), y.unsqueeze(1).expand(-1, columns, -1)), dim=-1
    )  # [rows, columns, head_size / 4, 2]
    return _unit(angles.reshape(rows * columns, head_size // 2))


def text_table(length: int, head_size: int, theta: float) -> torch.Tensor:
    """Rotations of a caption's rows: [length, head_size / 2] complex64."""
    exponent = torch.arange(0, head_size, 2, dtype=torch.float64) / head_size
    return _unit(torch.outer(torch.arange(length, dtype=torch.float64), theta**-exponent))


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn adjacent channel pairs (2m, 2m + 1) of every head by the token's angles.

    Args:
        x: [B, N, heads, head_size] float32.
        table: [N, head_size / 2] complex64.
    Returns:
        [B, N, heads, head_size] float32.
    """
    pairs = x.unflatten(-1, (-1, 2))
    table = table.unsqueeze(1)  # one rotation for all heads
    if not torch.compiler.is_compiling():
        return torch.view_as_real(torch.view_as_complex(pairs) * table).flatten(-2)
    # A compiler fuses real arithmetic and leaves complex numbers alone; eager kernels are the other
    # way round.
    cos, sin = torch.view_as_real(table).unbind(-1)
    a, b = pairs.unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


def _axis_angles(count: int, head_size: int, stretch: float) -> torch.Tensor:
    """[count, head_size / 4] float64; `stretch` is grid over reference and moves the base."""
    half = head_size / 2
    theta = IMAGE_THETA * stretch ** (half / (half - 2))
    exponent = torch.arange(0, head_size, 4, dtype=torch.float64) / head_size
    return torch.outer(torch.linspace(0, GRID_SPAN, count, dtype=torch.float64), theta**-exponent)


def _unit(angles: torch.Tensor) -> torch.Tensor:
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
