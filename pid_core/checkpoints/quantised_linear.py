# SPDX-License-Identifier: Apache-2.0
"""A linear layer that keeps its weight quantised, on every device."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.checkpoints.native_products import FEW_ROWS, Product, native_product
from pid_core.checkpoints.quantised_formats import MX_BLOCK, mx_scales, mx_weight, rotate, widened
from pid_core.errors import CheckpointMismatch
from pid_core.inspect.quantisation import LayerFormat

_FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


class QuantisedLinear(nn.Module):
    """Stands in for `nn.Linear` at half the memory of bfloat16.

    It multiplies natively where the device can, else it widens its weight for each run of tokens,
    which is little beside the product itself. A rotated weight is not rotated back: the input is
    rotated instead.
    """

    def __init__(
        self, layer: nn.Linear, kind: LayerFormat, dtype: torch.dtype, *, is_exact: bool = False
    ) -> None:
        """Prepare an empty stand-in.

        Args:
            layer: what it replaces; its sizes count, its tensors do not.
            kind: how the file stores the weight.
            dtype: of the arithmetic.
            is_exact: never quantise the activations.
        """
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.kind, self.dtype = kind, dtype
        self._is_exact = is_exact or kind.is_weight_only
        self.native: Product | None = None
        """How it multiplies natively; None = it dequantises."""
        self.stored: torch.Tensor
        self.scale: torch.Tensor | None
        self.input_scale: torch.Tensor | None
        self.bias: nn.Parameter | None
        self.register_buffer("stored", torch.empty(0))
        self.register_buffer("scale", None)
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
        padded = (_round_up(rows), _round_up(columns)) if self._is_mx else (rows, columns)
        if tuple(stored.shape) not in {(rows, columns), padded}:
            raise CheckpointMismatch(
                f"{name}.weight is {list(stored.shape)}, the network's layer [{rows}, {columns}]."
            )
        self.bias = None if bias is None else nn.Parameter(bias.to(self.dtype), requires_grad=False)
        self.input_scale = input_scale
        if self._is_mx:
            self._fill_mx(name, stored, scale)
        else:
            self._fill_plain(name, stored, scale)
        if not self._is_exact and tuple(stored.shape) == (rows, columns):
            self.native = native_product(
                self.kind.format, self.stored.device, self.stored, self.scale
            )
        if self._is_mx and self.native is None:
            self.scale = self._mx_exponents()  # once; only kernels want the file's order

    def _fill_plain(self, name: str, stored: torch.Tensor, scale: torch.Tensor | None) -> None:
        rows, columns = stored.shape
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
        self.stored, self.scale = stored.view(torch.float8_e4m3fn), scale.view(torch.uint8)

    @property
    def weight(self) -> torch.Tensor:
        """[out, in] dequantised, in the arithmetic's dtype; made anew at every call."""
        weight = self._mx_weight() if self._is_mx else widened(self.stored, torch.float32)
        if self.scale is not None and not self._is_mx:
            weight.mul_(self.scale)
        if self.kind.rotation_group:
            weight = rotate(weight, self.kind.rotation_group)
        if self.input_scale is not None:
            weight = weight * self.input_scale
        return weight.to(self.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        if self.input_scale is not None:
            x = x * self.input_scale.to(x.dtype)
        if self.kind.rotation_group:
            x = rotate(x, self.kind.rotation_group)
        rows = x.flatten(0, -2)
        if self.native is None or rows.shape[0] <= FEW_ROWS:
            product = self._dequantised_product(rows)
        else:
            product = self.native(rows, self.stored, self._scale_or_one())
        if self.bias is not None:
            product = product + self.bias
        return product.to(self.dtype).unflatten(0, x.shape[:-1])

    def _dequantised_product(self, x: torch.Tensor) -> torch.Tensor:
        """[n, in] -> [n, out] for inputs that are already scaled and rotated."""
        if self._is_mx:
            return F.linear(x, self._mx_weight())
        product = F.linear(x, widened(self.stored, self.dtype))  # every code fits either dtype
        return product if self.scale is None else product * self.scale.T

    @property
    def _is_mx(self) -> bool:
        return self.kind.format == "mxfp8"

    def _mx_weight(self) -> torch.Tensor:
        exponents = self._scale_or_one() if self.native is None else self._mx_exponents()
        weight = mx_weight(self.stored, exponents, self.dtype)
        return weight[: self.out_features, : self.in_features]

    def _mx_exponents(self) -> torch.Tensor:
        """Scales in the file's order -> [rows, columns / 32] in plain order."""
        return mx_scales(self._scale_or_one(), *self.stored.shape)

    def _scale_or_one(self) -> torch.Tensor:
        return torch.ones(1, 1, device=self.stored.device) if self.scale is None else self.scale


def native_formats(net: nn.Module) -> tuple[str, ...]:
    """Formats of the layers that multiply natively, in order."""
    layers = [module for module in net.modules() if isinstance(module, QuantisedLinear)]
    return tuple(sorted({layer.kind.format for layer in layers if layer.native is not None}))


def _round_up(side: int) -> int:
    return -(-side // MX_BLOCK) * MX_BLOCK
