# SPDX-License-Identifier: Apache-2.0
"""Full softmax attention, and the buffers that its inputs are written into piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pid_core.networks.layers import RmsNorm, token_chunks
from pid_core.networks.rope import rotate

_QUERIES, _KEYS = 1024, 512
"""Piece of the logits that is held at once: 1 MiB in bfloat16, the second-level cache of a core."""
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
    """[B, num_queries, heads, head_size] in the compute dtype, scaled by head_size ** -0.5."""
    k: torch.Tensor
    """[B, num_keys, heads, head_size] in the compute dtype."""
    v: torch.Tensor
    """[B, num_keys, heads, head_size] in the compute dtype."""

    @classmethod
    def empty(
        cls, like: torch.Tensor, num_queries: int, num_keys: int, heads: int, head_size: int
    ) -> AttentionInputs:
        """Unfilled buffers with the batch, dtype and device of `like`."""

        def buffer(count: int) -> torch.Tensor:
            return like.new_empty(like.shape[0], count, heads, head_size)

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
        heads, head_size = self.k.shape[2:]
        q, k, v = qkv.unflatten(-1, (3, heads, head_size)).unbind(2)
        keys = slice(key_start, key_start + k.shape[1])
        self.v[:, keys] = v
        self.k[:, keys] = _position(norms[1](k), table)
        if query_start is not None:
            queries = slice(query_start, query_start + q.shape[1])
            self.q[:, queries] = _position(norms[0](q, gain=head_size**-0.5), table)

    def attend(self) -> torch.Tensor:
        """Softmax attention of every query over all keys: [B, num_queries, heads * head_size].

        No queries x keys matrix ever exists: the last axis is contiguous and nothing is masked,
        so PyTorch takes a fused kernel on every device.
        """
        if _is_fused_kernel_slow(self.q):
            return _attend_by_head(self.q, self.k, self.v).flatten(2)
        q, k, v = (tensor.transpose(1, 2) for tensor in (self.q, self.k, self.v))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).flatten(2)


def _position(x: torch.Tensor, table: torch.Tensor | None) -> torch.Tensor:
    return x if table is None else rotate(x, table)


def _is_fused_kernel_slow(q: torch.Tensor) -> bool:
    """PyTorch's fused bfloat16 attention is fast on a CPU only where it has matrix tiles (AMX).

    Elsewhere it multiplies at float32's speed, a quarter of what the same CPU's bfloat16 matrix
    products reach (measured: Zen 5, 1324 tokens, 24 heads: 137 ms against 56 ms).
    """
    is_cpu_bf16 = q.device.type == "cpu" and q.dtype == torch.bfloat16
    return is_cpu_bf16 and not torch.cpu.get_capabilities().get("amx_bf16", False)


def _attend_by_head(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention from matrix products over pieces that fit the CPU's cache, head by head.

    Logits are rounded to bfloat16 here. What all keys have in common moves all logits of a query
    alike and does not change its softmax, so it is taken off the keys: what is rounded is small.

    Args:
        q: [B, num_queries, heads, head_size], scaled.
        k: [B, num_keys, heads, head_size].
        v: [B, num_keys, heads, head_size].
    Returns:
        [B, num_queries, heads, head_size].
    """
    k = k - k.mean(dim=1, keepdim=True)
    out = torch.empty_like(q)
    for sample in range(q.shape[0]):
        heads = zip(*(tensor[sample].unbind(1) for tensor in (q, k, v, out)), strict=True)
        for queries, keys, values, result in heads:
            # plain rows: products of strided ones run at half the rate
            pieces = queries.contiguous(), keys.contiguous(), values.contiguous()
            if _longest(queries) * _longest(keys) <= _SAFE_LOGIT:
                _attend_in_pieces(*pieces, result)
            else:
                _attend_in_rows(*pieces, result)
    return out


def _longest(vectors: torch.Tensor) -> float:
    return float(vectors.float().square().sum(-1).max().sqrt())


def _attend_in_pieces(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, result: torch.Tensor
) -> None:
    """Softmax attention whose logits are known to be small: no maximum has to be taken off, so that
    keys come piece by piece and nothing is divided before the end (measured: Zen 4, 16684 tokens:
    0.6 x the time of whole rows)."""
    size = values.shape[-1]
    ones = values.new_ones(values.shape[0], _SUM_COLUMNS)
    values = torch.cat((values, ones), dim=-1)  # the product with these is the softmax's divisor
    pieces = [(keys[run].T.contiguous(), values[run]) for run in token_chunks(keys.shape[0], _KEYS)]
    for run in token_chunks(queries.shape[0], _QUERIES):
        total = torch.zeros(run.stop - run.start, values.shape[-1])
        for turned, weighted in pieces:
            total += (queries[run] @ turned).exp_() @ weighted
        result[run] = total[:, :size] / total[:, size : size + 1]


def _attend_in_rows(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, result: torch.Tensor
) -> None:
    """Softmax attention of a few whole rows at a time."""
    turned = keys.T.contiguous()
    for run in token_chunks(queries.shape[0], _ROWS):
        result[run] = torch.softmax(queries[run] @ turned, dim=-1) @ values
