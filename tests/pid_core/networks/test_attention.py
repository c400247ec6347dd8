# SPDX-License-Identifier: Apache-2.0
"""Attention without a matrix of all queries and keys, whichever way a CPU computes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from pid_core.networks import attention
from pid_core.networks.attention import AttentionInputs

Draw = Callable[..., torch.Tensor]


def by_heads(*inputs: torch.Tensor) -> torch.Tensor:
    """[B, n, heads, size] -> the same."""
    return attention._attend_by_heads(*(tensor.transpose(1, 2) for tensor in inputs))


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("lengths", [(5, 5), (300, 700), (1, 9)])
def test_both_ways_compute_attention(
    draw: Draw, monkeypatch: pytest.MonkeyPatch, is_slow: bool, lengths: tuple[int, int]
) -> None:
    monkeypatch.setattr(attention, "_is_fused_kernel_slow", lambda q: is_slow)
    queries, keys = lengths
    q, k, v = draw(2, queries, 3, 8), draw(2, keys, 3, 8) + 2, draw(2, keys, 3, 8)
    ours = AttentionInputs(*(tensor.transpose(1, 2) for tensor in (q, k, v))).attend()
    logits = torch.einsum("bnhd,bmhd->bhnm", q.double(), k.double())
    truth = torch.einsum("bhnm,bmhd->bnhd", logits.softmax(-1), v.double()).flatten(2)
    torch.testing.assert_close(ours.double(), truth, rtol=1e-5, atol=1e-5)


def test_a_common_part_of_the_keys_costs_no_precision(draw: Draw) -> None:
    """Logits around 60 are half a unit apart in bfloat16; without the common part they are not."""
    q, v = draw(1, 64, 2, 16).bfloat16(), draw(1, 64, 2, 16).bfloat16()
    k = (draw(1, 64, 2, 16) + 4 * q.float().mean((0, 1, 2)).sign()).bfloat16()
    q = (q.float() + 1.5 * q.float().mean((0, 1, 2)).sign()).bfloat16()
    ours = by_heads(q, k, v).double()
    logits = torch.einsum("bnhd,bmhd->bhnm", q.double(), k.double())
    truth = torch.einsum("bhnm,bmhd->bnhd", logits.softmax(-1), v.double())
    assert logits.abs().max() > 60
    assert (ours - truth).norm() / truth.norm() < 0.02


@pytest.mark.parametrize("size", [1.0, 20.0])
def test_small_and_large_logits(draw: Draw, monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """Small ones are taken piece by piece, large ones row by row; both come out right."""
    taken = []
    for name in ("_attend_in_pieces", "_attend_in_rows"):
        way = getattr(attention, name)
        monkeypatch.setattr(
            attention, name, lambda *inputs, way=way, name=name: (taken.append(name), way(*inputs))
        )
    q, k, v = draw(1, 1100, 2, 16) * size / 4, draw(1, 700, 2, 16), draw(1, 700, 2, 16)
    ours = by_heads(q, k, v)
    logits = torch.einsum("bnhd,bmhd->bhnm", q.double(), k.double())
    truth = torch.einsum("bhnm,bmhd->bnhd", logits.softmax(-1), v.double())
    torch.testing.assert_close(ours.double(), truth, rtol=1e-4, atol=1e-4)
    assert set(taken) == {"_attend_in_pieces" if size == 1 else "_attend_in_rows"}


def test_the_fused_kernel_is_taken_for_float32(draw: Draw) -> None:
    """PyTorch's own choice for our strides: the flash kernel, which holds no full matrix."""
    q, k, v = (draw(1, 2, 600, 72) for _ in range(3))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        F.scaled_dot_product_attention(q, k, v, scale=1.0)
    with torch.profiler.profile() as profile:
        AttentionInputs(q, k, v).attend()
    assert any("flash_attention" in event.key for event in profile.key_averages())
