# SPDX-License-Identifier: Apache-2.0
"""Full softmax attention, and the buffers that its inputs are written into piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pid_core.networks.layers import RmsNorm, token_chunks
from pid_core.networks.rope import rotate

_QUERIES, _KEYS = 1024, 512
"""Piece of one head's logits that is held at once: 1 MiB in bfloat16."""
_HEADS_PER_THREAD = 4
"""Heads that are computed together, so that every thread has enough to do."""
_ROWS = 64
"""Whole rows of logits that are held at once."""
_SAFE_LOGIT = 60.0
"""Powers of e up to this, and sums of 10^9 of them, are far from the ends of bfloat16's range."""
_SUM_COLUMNS = 8
"""A product's columns come in such groups."""


@dataclass
class AttentionInputs:
    """Queries, keys and values of one attention, filled token run by token run.

    Filling buffers in place keeps the float32 intermediates of norm and rotation as small as one
    run, and joins text and image tokens without copying either.
    """

    q: torch.Tensor
    """[B, heads, num_queries, head_size] in the compute dtype, scaled by head_size ** -0.5."""
    k: torch.Tensor
    """[B, heads, num_keys, head_size] in the compute dtype."""
    v: torch.Tensor
    """[B, heads, num_keys, head_size] in the compute dtype."""

    @classmethod
    def empty(
        cls, like: torch.Tensor, num_queries: int, num_keys: int, heads: int, head_size: int
    ) -> AttentionInputs:
        """Unfilled buffers with the batch, dtype and device of `like`."""

        def buffer(count: int) -> torch.Tensor:
            return like.new_empty(like.shape[0], heads, count, head_size)

        return cls(buffer(num_queries), buffer(num_keys), buffer(num_keys))

    def fill(
        self,
        qkv: torch.Tensor,
        norms: tuple[RmsNorm, RmsNorm],
        table: torch.Tensor | None,
        *,
        query_start: int | None,
        key_start: int,
    ) -> None:
        """Norm, rotate and store a run of tokens.

        Args:
            qkv: [B, n, 3 * heads * head_size], queries | keys | values outermost.
            norms: of queries and of keys, over one head.
            table: [n, head_size / 2] rotations, or None for tokens without a position.
            query_start: where the run's queries go, or None when nobody reads its output.
            key_start: where the run's keys and values go.
        """
        heads, head_size = self.k.shape[1], self.k.shape[3]
        q, k, v = qkv.unflatten(-1, (3, heads, head_size)).unbind(2)
        keys = slice(key_start, key_start + k.shape[1])
        self.v[:, :, keys] = v.transpose(1, 2)
        self.k[:, :, keys] = _position(norms[1](k), table).transpose(1, 2)
        if query_start is not None:
            queries = slice(query_start, query_start + q.shape[1])
            turned = _position(norms[0](q, gain=head_size**-0.5), table)
            self.q[:, :, queries] = turned.transpose(1, 2)

    def attend(self) -> torch.Tensor:
        """Softmax attention of every query over all keys: [B, num_queries, heads * head_size].

        No queries x keys matrix ever exists: the last axis is contiguous and nothing is masked,
        so PyTorch takes a fused kernel on every device.
        """
        if _is_fused_kernel_slow(self.q):
            return _attend_by_heads(self.q, self.k, self.v).flatten(2)
        attended = F.scaled_dot_product_attention(self.q, self.k, self.v, scale=1.0)
        return attended.transpose(1, 2).flatten(2)


def _position(x: torch.Tensor, table: torch.Tensor | None) -> torch.Tensor:
    return x if table is None else rotate(x, table)


def _is_fused_kernel_slow(q: torch.Tensor) -> bool:
    """PyTorch's fused bfloat16 attention is fast on a CPU only where it has matrix tiles (AMX).

    Elsewhere it multiplies at float32's speed, a quarter of what the same CPU's bfloat16 matrix
    products reach (measured: Zen 5, 1324 tokens, 24 heads: 137 ms against 56 ms).
    """
    is_cpu_bf16 = q.device.type == "cpu" and q.dtype == torch.bfloat16
    return is_cpu_bf16 and not torch.cpu.get_capabilities().get("amx_bf16", False)


def _attend_by_heads(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention from matrix products over pieces that fit the CPU's cache, some heads at a time.

    Logits are rounded to bfloat16 here. What all keys have in common moves all logits of a query
    alike and does not change its softmax, so it is taken off the keys: what is rounded is small.

    Args:
        q: [B, heads, num_queries, head_size], scaled.
        k: [B, heads, num_keys, head_size].
        v: [B, heads, num_keys, head_size].
    Returns:
        [B, num_queries, heads, head_size].
    """
    k = k - k.mean(dim=2, keepdim=True)
    largest = _longest(q) * _longest(k)  # no logit exceeds this
    out = q.new_empty(q.shape[0], q.shape[2], q.shape[1], q.shape[3])
    at_once = _HEADS_PER_THREAD * torch.get_num_threads()
    for sample in range(q.shape[0]):
        for heads in token_chunks(q.shape[1], at_once):
            is_safe = bool((largest[sample, heads] <= _SAFE_LOGIT).all())
            attend = _attend_in_pieces if is_safe else _attend_in_rows
            result = out[sample, :, heads].transpose(0, 1)
            attend(q[sample, heads], k[sample, heads], v[sample, heads], result)
    return out


def _longest(vectors: torch.Tensor) -> torch.Tensor:
    """Length of every head's longest vector: [B, heads] float32."""
    return vectors.float().square().sum(-1).amax(-1).sqrt()


def _attend_in_pieces(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, result: torch.Tensor
) -> None:
    """Softmax attention whose logits are known to be small: no maximum has to be taken off, so that
    keys come piece by piece and nothing is divided before the end.

    Measured with 16684 tokens of 24 heads against whole rows of one head in strided tensors (Zen 4,
    one thread): 14 s instead of 41 s.

    Args:
        queries: [heads, num_queries, head_size].
        keys: [heads, num_keys, head_size].
        values: [heads, num_keys, head_size].
        result: [heads, num_queries, head_size], written.
    """
    size = values.shape[-1]
    ones = values.new_ones(*values.shape[:-1], _SUM_COLUMNS)
    values = torch.cat((values, ones), dim=-1)  # the product with these is the softmax's divisor
    pieces = [
        (keys[:, run].transpose(1, 2).contiguous(), values[:, run].contiguous())
        for run in token_chunks(keys.shape[1], _KEYS)
    ]
    for run in token_chunks(queries.shape[1], _QUERIES):
        part = queries[:, run]
        total = torch.zeros(*part.shape[:-1], values.shape[-1])
        for turned, weighted in pieces:
            total += torch.bmm(torch.bmm(part, turned).exp_(), weighted)
        result[:, run] = total[..., :size] / total[..., size : size + 1]


def _attend_in_rows(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, result: torch.Tensor
) -> None:
    """Softmax attention of a few whole rows at a time; everything as in `_attend_in_pieces`."""
    turned = keys.transpose(1, 2).contiguous()
    for run in token_chunks(queries.shape[1], _ROWS):
        result[:, run] = torch.bmm(torch.softmax(torch.bmm(queries[:, run], turned), -1), values)
