# SPDX-License-Identifier: Apache-2.0
"""Weights laid out for oneDNN, the library behind PyTorch's bfloat16 products on a CPU.

A plain weight is rearranged at every call; a packed one was, once. And float32 products, which
PyTorch otherwise gives to MKL, run at twice the speed where MKL does not know the processor
(measured: Zen 5, one thread, 1024 x 1536 x 4096: bfloat16 421 to 452 GFLOP/s, float32 100 to 235).
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import nn

from pid_core.networks.layers import SwiGlu
from pid_core.networks.patch_block import JointAttention
from pid_core.networks.pixel_block import PatchAttention, PixelBlock

_WIDE = (JointAttention, SwiGlu, PatchAttention, PixelBlock)
"""Modules whose own linear layers see runs of tokens; nothing else reads those layers' weights."""
_TYPICAL_ROWS = 256
"""Rows of an input that the layout is chosen for; any number works."""


class PackedLinear(nn.Module):
    """Stands in for `nn.Linear` once its weight has been read; it has no `weight` any more."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        # What torch.compile emits for a linear layer on a CPU; there is no public name for it.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _TYPICAL_ROWS)
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def pack_for_cpu(net: nn.Module) -> None:
    """Replace the wide linear layers of a loaded network, in place.

    Memory stays the same in total, but is no longer shared with the file that it was mapped from.
    Quantised layers and networks on another device are left alone.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for module in net.modules():
        if isinstance(module, _WIDE):
            for name, child in list(module.named_children()):
                if _is_packable(child):
                    setattr(module, name, PackedLinear(child.weight, child.bias))
        if isinstance(module, PixelBlock) and _is_packable(module.adaLN_modulation[0]):
            module.split_modulation(PackedLinear)


def _is_packable(layer: nn.Module) -> TypeGuard[nn.Linear]:
    return type(layer) is nn.Linear and layer.weight.device.type == "cpu"
