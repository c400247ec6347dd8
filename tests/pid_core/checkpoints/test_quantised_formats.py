# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of quantised weights, against the formats' definitions."""

from __future__ import annotations

import pytest
import torch

from pid_core.checkpoints.quantised_formats import (
    mx_quantised,
    mx_scales,
    mx_swizzled,
    mx_weight,
    rotate,
    widened,
)
from tests.pid_core.synthetic import hadamard, swizzled


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
def test_every_code_is_widened_exactly(kind: torch.dtype, dtype: torch.dtype) -> None:
    codes = torch.arange(256, dtype=torch.uint8).view(kind)
    expected = codes.to(torch.float64)
    finite = expected.isfinite()
    assert finite.sum() >= 246
    assert torch.equal(widened(codes, dtype).to(torch.float64)[finite], expected[finite])


@pytest.mark.parametrize("shape", [(128, 128), (200, 96), (32, 32), (300, 1536)])
def test_scales_are_put_in_order(shape: tuple[int, int]) -> None:
    rows, columns = shape
    plain = torch.randint(0, 255, (rows, columns // 32), dtype=torch.uint8)
    assert torch.equal(mx_scales(swizzled(plain), rows, columns), plain)
    assert torch.equal(mx_swizzled(plain), swizzled(plain))


def test_mx_blocks() -> None:
    stored = torch.full((2, 64), 1.5).to(torch.float8_e4m3fn)
    exponents = torch.tensor([[127, 129], [126, 0]], dtype=torch.uint8)
    weight = mx_weight(stored, exponents, torch.bfloat16)
    assert weight[:, ::32].tolist() == [[1.5, 6.0], [0.75, 0.0]]


def test_quantising_to_mx_keeps_every_block_within_float8() -> None:
    values = torch.randn(5, 96) * torch.logspace(-30, 30, 96)
    values[2, 32:64] = 0
    stored, exponents = mx_quantised(values)
    assert stored.float().abs().max() <= 448 and exponents[2, 1] == 0
    back = mx_weight(stored, exponents, torch.float32)
    largest = values.unflatten(1, (-1, 32)).abs().amax(-1, keepdim=True)
    error = (back - values).unflatten(1, (-1, 32)).abs()
    assert (error <= largest * 2**-4).all()


@pytest.mark.parametrize("group", [4, 16, 64, 256])
def test_the_rotation_is_the_hadamard_matrix(group: int) -> None:
    x = torch.randn(5, 2 * group, dtype=torch.float32)
    expected = (x.view(5, 2, group) @ hadamard(group)).flatten(1)
    assert torch.allclose(rotate(x, group), expected, atol=2e-6)
    assert torch.allclose(rotate(rotate(x, group), group), x, atol=2e-6)
