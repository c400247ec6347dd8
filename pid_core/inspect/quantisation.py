# SPDX-License-Identifier: Apache-2.0
"""Which layers of a file are quantised, and how: read from its markers, never assumed.

ComfyUI's layouts are data-driven: every quantised layer carries its own marker. Source: ComfyUI
0.33 and comfy-kitchen 0.2.31 as facts (no released quantised PiD file was seen; the layer lists
behind the published sizes are inferred, which is why nothing here hard-codes one). Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pid_core.errors import CheckpointError
from pid_core.inspect.headers import FileHeader

FORMATS = ("float8_e4m3fn", "float8_e5m2", "mxfp8", "int8_tensorwise")
"""Formats that can be dequantised."""

MARKER = ".comfy_quant"
SIDE_TENSORS = (
    MARKER, ".weight_scale", ".input_scale", ".pre_quant_scale", ".scale_weight", ".scale_input",
)  # fmt: skip
"""Ends of the names of tensors that belong to a quantised layer and are no parameters of the
network."""
LEGACY_MARKERS = ("scaled_fp8", "model.diffusion_model.scaled_fp8")
"""Names whose presence says that the whole file is in the older scaled_fp8 layout."""

_FLOAT8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


@dataclass(frozen=True)
class LayerFormat:
    """How one layer's weight is stored."""

    format: str
    """One of `FORMATS`."""
    scale_name: str | None
    """Full name of its scale in the file; None = the scale is 1."""
    rotation_group: int = 0
    """Size of the groups of columns that were rotated before quantising; 0 = not rotated."""
    is_weight_only: bool = False
    """The file asks for products in full precision: activations are not to be quantised."""


@dataclass(frozen=True)
class Quantisation:
    """What is quantised in a file."""

    layers: Mapping[str, LayerFormat]
    """By the layer's name in the file, without `.weight`."""
    is_legacy: bool = False
    """The older scaled_fp8 layout."""

    @property
    def label(self) -> str:
        """`scaled_fp8`, one of `FORMATS`, `int8_tensorwise+convrot`, several joined, or empty."""
        if not self.layers:
            return ""
        if self.is_legacy:
            return "scaled_fp8"
        kinds = {
            layer.format + ("+convrot" if layer.rotation_group else "")
            for layer in self.layers.values()
        }
        return ", ".join(sorted(kinds))


def read_quantisation(header: FileHeader) -> Quantisation:
    """Find the quantised layers of a file.

    Raises:
        CheckpointError: a marker is damaged or names a format that is not known here.
    """
    if header.container != "safetensors":
        return Quantisation({})
    is_legacy = any(name in header.tensors for name in LEGACY_MARKERS)
    is_weight_only = any(
        header.tensors[name].shape == (2,) for name in LEGACY_MARKERS if name in header.tensors
    )  # how the older layout says so
    declared = _declared(header)
    layers: dict[str, LayerFormat] = {}
    for name, info in header.tensors.items():
        if not name.endswith(".weight"):
            continue
        layer = name.removesuffix(".weight")
        config = declared.get(layer)
        if config is not None:
            layers[layer] = _layer_format(header, layer, config)
        elif info.dtype in _FLOAT8:  # legacy scaled_fp8, or a plain cast without a scale
            layers[layer] = LayerFormat(
                _FLOAT8[info.dtype], _scale_name(header, layer), is_weight_only=is_weight_only
            )
    return Quantisation(layers, is_legacy)


def _declared(header: FileHeader) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    text = header.metadata.get("_quantization_metadata")
    if text is not None:
        layers = _parsed(header, "_quantization_metadata", text.encode()).get("layers", {})
        found.update(
            {layer: config for layer, config in layers.items() if isinstance(config, dict)}
        )
    for name in header.tensors:
        if name.endswith(MARKER):
            found[name.removesuffix(MARKER)] = _parsed(header, name, header.read_bytes(name))
    return found


def _parsed(header: FileHeader, name: str, raw: bytes) -> dict[str, Any]:
    try:
        config: Any = json.loads(raw.decode("utf-8").rstrip("\0"))
    except ValueError as error:
        raise CheckpointError(
            f"{header.path.name}: {name} is not a quantisation marker."
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{header.path.name}: {name} is not a quantisation marker.")
    return config


def _layer_format(header: FileHeader, layer: str, config: Mapping[str, Any]) -> LayerFormat:
    params = config.get("params")
    options = {**config, **(params if isinstance(params, dict) else {})}
    kind = options.get("format")
    if kind not in FORMATS:
        raise CheckpointError(
            f"{header.path.name}: {layer} is stored as {kind}, which is not read.",
            hint=f"Formats: bf16, {', '.join(FORMATS)}.",
        )
    group = int(options.get("convrot_groupsize", 256)) if options.get("convrot") else 0
    is_weight_only = bool(options.get("full_precision_matrix_mult"))
    return LayerFormat(kind, _scale_name(header, layer), group, is_weight_only)


def _scale_name(header: FileHeader, layer: str) -> str | None:
    for end in (".weight_scale", ".scale_weight"):
        if layer + end in header.tensors:
            return layer + end
    return None
