# SPDX-License-Identifier: Apache-2.0
"""A linear layer that keeps its weight quantised and dequantises it at every call."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.checkpoints.dequantise import MX_BLOCK, mx_scales, mx_weight, rotate, widened
from pid_core.errors import CheckpointMismatch
from pid_core.inspect.quantisation import LayerFormat

_FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


class QuantisedLinear(nn.Module):
    """Stands in for `nn.Linear`; half the memory of bfloat16, on every device.

    A layer passes its weight's bytes once for each run of tokens, which is little beside the
    product itself. A rotated weight is not rotated back: the input is rotated instead.
    """

    def __init__(self, layer: nn.Linear, kind: LayerFormat, dtype: torch.dtype) -> None:
        """Prepare an empty stand-in.

        Args:
            layer: what it replaces; its sizes count, its tensors do not.
            kind: how the file stores the weight.
            dtype: of the arithmetic.
        """
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.kind, self.dtype = kind, dtype
        self.stored: torch.Tensor
        self.scale: torch.Tensor | None
        self.exponents: torch.Tensor | None
        self.input_scale: torch.Tensor | None
        self.bias: nn.Parameter | None
        self.register_buffer("stored", torch.empty(0))
        self.register_buffer("scale", None)
        self.register_buffer("exponents", None)
        self.register_buffer("input_scale", None)
        self.register_parameter("bias", None)

    def fill(
        self,
        name: str,
        stored: torch.Tensor,
        scale: torch.Tensor | None,
        bias: torch.Tensor | None,
        input_scale: torch.Tensor | None = None,
    ) -> None:
        """Take over a file's tensors.

        Args:
            name: the layer's name, for errors.
            stored: [out, in] quantised weight; mxfp8 may be padded to multiples of 32.
            scale: as the format has it; None = 1.
            bias: [out] float, or None.
            input_scale: [in] float that the input is multiplied by first, or None.
        Raises:
            CheckpointMismatch: a shape or dtype is not the format's.
        """
        rows, columns = self.out_features, self.in_features
        is_mx = self.kind.format == "mxfp8"
        padded = (_round_up(rows), _round_up(columns)) if is_mx else (rows, columns)
        if tuple(stored.shape) not in {(rows, columns), padded}:
            raise CheckpointMismatch(
                f"{name}.weight is {list(stored.shape)}, the network's layer [{rows}, {columns}]."
            )
        self.bias = None if bias is None else nn.Parameter(bias.to(self.dtype), requires_grad=False)
        self.input_scale = input_scale
        if is_mx:
            self._fill_mx(name, stored, scale)
            return
        group = self.kind.rotation_group
        if group and (columns % group or group.bit_length() % 2 == 0 or group & (group - 1)):
            raise CheckpointMismatch(
                f"{name} is rotated in groups of {group}; that must be a power of 4 dividing "
                f"{columns}."
            )
        wanted = _FLOAT8.get(self.kind.format, torch.int8)
        if stored.dtype == torch.uint8 and wanted != torch.int8:
            stored = stored.view(wanted)
        if stored.dtype != wanted:
            raise CheckpointMismatch(f"{name} is said to be {wanted}, but is {stored.dtype}.")
        if scale is not None:
            if scale.numel() not in (1, rows):
                raise CheckpointMismatch(
                    f"{name}'s scale is {list(scale.shape)}; one or {rows} values are read."
                )
            scale = scale.float().reshape(-1, 1)
        self.stored, self.scale = stored, scale

    def _fill_mx(self, name: str, stored: torch.Tensor, scale: torch.Tensor | None) -> None:
        rows, columns = stored.shape
        expected = -(-rows // 128) * 128 * -(-columns // MX_BLOCK // 4) * 4
        if scale is None or scale.numel() != expected or columns % MX_BLOCK:
            found = "no scale" if scale is None else f"a scale of {list(scale.shape)}"
            raise CheckpointMismatch(
                f"{name} [{rows}, {columns}] has {found}; mxfp8 needs {expected} bytes."
            )
        self.stored = stored.view(torch.float8_e4m3fn)
        self.exponents = mx_scales(scale, rows, columns)

    @property
    def weight(self) -> torch.Tensor:
        """[out, in] dequantised, in the arithmetic's dtype; made anew at every call."""
        weight = self._stored_weight()
        if self.kind.rotation_group:
            weight = rotate(weight, self.kind.rotation_group)
        if self.input_scale is not None:
            weight = weight * self.input_scale.to(self.dtype)
        return weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        if self.input_scale is not None:
            x = x * self.input_scale.to(x.dtype)
        if self.kind.rotation_group:
            x = rotate(x, self.kind.rotation_group)
        return F.linear(x, self._stored_weight(), self.bias)

    def _stored_weight(self) -> torch.Tensor:
        """The weight for inputs that are already scaled and rotated."""
        if self.exponents is not None:
            weight = mx_weight(self.stored, self.exponents, self.dtype)
            return weight[: self.out_features, : self.in_features]
        if self.scale is None:
            return widened(self.stored, self.dtype)
        return widened(self.stored, torch.float32).mul_(self.scale).to(self.dtype)


def _round_up(side: int) -> int:
    return -(-side // MX_BLOCK) * MX_BLOCK
