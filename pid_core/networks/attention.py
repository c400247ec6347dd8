# SPDX-License-Identifier: Apache-2.0
"""Full softmax attention, and the buffers that its inputs are written into piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pid_core.networks.layers import RmsNorm
from pid_core.networks.rope import rotate


@dataclass
class AttentionInputs:
    """Queries, keys and values of one attention, filled token run by token run.

    Filling buffers in place keeps the float32 intermediates of norm and rotation as small as one
    run, and joins text and image tokens without copying either.
    """

    q: torch.Tensor
    """[B, num_queries, heads, head_size] in the compute dtype."""
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
            self.q[:, queries] = _position(norms[0](q), table)

    def attend(self) -> torch.Tensor:
        """Softmax attention of every query over all keys: [B, num_queries, heads * head_size].

        The last axis is contiguous and nothing is masked, so PyTorch takes a fused kernel on every
        device: no queries x keys matrix exists.
        """
        q, k, v = (tensor.transpose(1, 2) for tensor in (self.q, self.k, self.v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _position(x: torch.Tensor, table: torch.Tensor | None) -> torch.Tensor:
    return x if table is None else rotate(x, table)
