# SPDX-License-Identifier: Apache-2.0
"""Synthetic weights in the layouts that users have: random numbers under the true names.

`keymaps.json` holds names and shapes of every released checkpoint, so nothing here depends on the
code under test. Small sets keep the true channel counts of the latent and shrink everything else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

KEYMAPS = json.loads((Path(__file__).parent / "keymaps.json").read_text(encoding="utf-8"))
V1_FLUX = "PiD_res2k_sr4x_official_flux_distill_4step"
V15_FLUX = "PiD_v1pt5_res2kto4k_sr4x_official_flux_distill_4step"
V15_FLUX2 = "PiD_v1pt5_res2kto4k_sr4x_official_flux2_distill_4step"

Quantised = tuple[dict[str, torch.Tensor], torch.Tensor]

# how the sizes of a released network shrink; everything else stays
_SMALL = {
    1536: 48, 4608: 144, 4096: 128, 9216: 288, 3072: 96,  # hidden 48 in 3 heads
    2304: 32,  # caption embeddings
    1152: 32, 3456: 96, 24576: 24576,  # pixel attention of 2 heads
    64: 16, 72: 16,  # head sizes
    512: 32, 1024: 32,  # latent branch
    300: 300, 768: 768, 256: 256, 6144: 6144,
}  # fmt: skip


def shapes(name: str, *, small: bool = False) -> dict[str, tuple[int, ...]]:
    """Tensor names without prefix, and shapes, of a released checkpoint or of its small twin."""
    table = {**KEYMAPS["common"]["tensors"], **KEYMAPS["files"][name]["tensors"]}
    found: dict[str, tuple[int, ...]] = {}
    for key, (count, shape) in table.items():
        if small and count == 14:
            count = 2
        elif small and count == 7:
            count = 1
        shape = _shrunk(key, shape) if small else tuple(shape)
        for index in range(max(count, 1)):
            found[key.replace("*", str(index))] = shape
    return found


def _shrunk(key: str, shape: list[int]) -> tuple[int, ...]:
    if key == "pixel_blocks.*.compress_to_attn.weight":
        return (32, 4096)
    if key.startswith("pixel_blocks.*.expand_from_attn"):
        return (4096, 32)[: len(shape)]
    if key.startswith("pixel_blocks.*.mlp"):
        return tuple(shape)
    if key == "lq_proj.latent_proj.0.weight":
        return (32, *shape[1:])
    if key == "s_embedder.proj.weight":
        return (48, 768)
    if key == "t_embedder.mlp.0.weight":
        return (48, 256)
    return tuple(_SMALL.get(side, side) for side in shape)


def random_tensors(
    found: dict[str, tuple[int, ...]], seed: int = 0, dtype: torch.dtype = torch.bfloat16
) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights that keep activations near 1, one tensor at a time."""
    generator = torch.Generator().manual_seed(seed)
    for name, shape in found.items():
        if name.endswith(("log_alpha",)):
            value = torch.tensor(0.5)
        elif "norm" in name or ".block.0.weight" in name or ".block.3.weight" in name:
            value = 1 + 0.1 * torch.randn(shape, generator=generator)
        else:
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 64
            value = torch.randn(shape, generator=generator) / math.sqrt(fan_in)
        yield name, value.to(dtype)


def network(
    name: str, *, small: bool = False, seed: int = 0, dtype: torch.dtype = torch.bfloat16
) -> dict[str, torch.Tensor]:
    """State dict of a released checkpoint's twin, without prefix.

    At full size all blocks hold the same numbers (in tensors of their own), which is much faster.
    """
    found = shapes(name, small=small)
    if small:
        return dict(random_tensors(found, seed, dtype))
    firsts = {name: shape for name, shape in found.items() if name == _first(name)}
    made = dict(random_tensors(firsts, seed, dtype))
    return {name: made[_first(name)].clone() for name in found}


def _first(name: str) -> str:
    """Name of the same tensor in the first block."""
    return re.sub(r"^((?:patch|pixel)_blocks)\.\d+\.", r"\1.0.", name)


def save_official(tensors: dict[str, torch.Tensor], folder: Path, name: str) -> Path:
    """As NVIDIA ships it: <folder>/<name>/model_ema_bf16.pth with the prefix `net.`."""
    path = folder / name / "model_ema_bf16.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({f"net.{key}": tensor for key, tensor in tensors.items()}, path)
    return path


def save_comfy(tensors: dict[str, torch.Tensor], path: Path, prefix: str = "net.") -> Path:
    """As ComfyUI ships it: one safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({prefix + key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path


def split_modulation(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ComfyUI's split of the pixel blocks' modulation: rows seen as [256, 6, 16]."""
    split: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("pixel_blocks") and ".adaLN_modulation.0." in name:
            stem, end = name.split("adaLN_modulation.0.")
            rows = tensor.view(256, 6, 16, *tensor.shape[1:])
            for half, part in (("msa", rows[:, :3]), ("mlp", rows[:, 3:])):
                split[f"{stem}adaLN_modulation_{half}.{end}"] = part.reshape(
                    -1, *tensor.shape[1:]
                ).contiguous()
        else:
            split[name] = tensor
    return split


def quantised_layers(found: dict[str, Any]) -> list[str]:
    """Layers that ComfyUI's quantised files are inferred to hold quantised, from their sizes."""
    ends = (
        "attn.qkv_x", "attn.qkv_y", "attn.proj_x", "attn.proj_y",
        "mlp_x.w1", "mlp_x.w2", "mlp_x.w3", "mlp_y.w1", "mlp_y.w2", "mlp_y.w3",
        "adaLN_modulation_img.0", "adaLN_modulation_txt.0",
        "attn.qkv", "attn.proj", "compress_to_attn", "expand_from_attn",
    )  # fmt: skip
    return [
        name.removesuffix(".weight")
        for name in found
        if name.startswith(("patch_blocks", "pixel_blocks"))
        and name.removesuffix(".weight").endswith(ends)
        and name.endswith(".weight")
        and "norm" not in name
    ]


def quantise(
    tensors: dict[str, torch.Tensor], kind: str, prefix: str = "net."
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Quantise a state dict in ComfyUI's way.

    Args:
        tensors: without prefix.
        kind: `scaled_fp8`, `float8_e4m3fn`, `float8_e5m2`, `mxfp8`, `int8_tensorwise`, `convrot`.
        prefix: of the names in the file.
    Returns:
        (tensors of the file, the same network dequantised in float32 without prefix).
    """
    in_file: dict[str, torch.Tensor] = {}
    plain = dict(tensors)
    layers = set(quantised_layers(tensors))
    done: dict[str, Quantised] = {}  # blocks that hold equal numbers are quantised once
    for name, tensor in tensors.items():
        layer = name.removesuffix(".weight")
        if layer not in layers or not name.endswith(".weight"):
            in_file[prefix + name] = tensor
            continue
        first = _first(name)
        if first not in done or not torch.equal(tensor, tensors[first]):
            done[first] = _QUANTISERS[kind](tensor.float())
        side, plain[name] = done[first]
        side = {end: value.clone() for end, value in side.items()}
        in_file.update({f"{prefix}{layer}.{end}": value for end, value in side.items()})
    if kind == "scaled_fp8":
        in_file["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return in_file, plain


def marker(**config: Any) -> torch.Tensor:
    """A layer's `comfy_quant` tensor."""
    return torch.tensor(list(json.dumps(config).encode()), dtype=torch.uint8)


def _float8(weight: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.abs().max() / torch.finfo(dtype).max
    return (weight / scale).to(dtype), scale


def _scaled_fp8(weight: torch.Tensor) -> Quantised:
    stored, scale = _float8(weight, torch.float8_e4m3fn)
    return {"weight": stored, "scale_weight": scale}, stored.float() * scale


def _comfy_float8(weight: torch.Tensor, name: str) -> Quantised:
    stored, scale = _float8(weight, getattr(torch, name))
    side = {"weight": stored, "weight_scale": scale, "comfy_quant": marker(format=name)}
    return side, stored.float() * scale


def _mxfp8(weight: torch.Tensor) -> Quantised:
    rows, columns = weight.shape
    padded = torch.zeros(-(-rows // 32) * 32, -(-columns // 32) * 32)
    padded[:rows, :columns] = weight
    blocks = padded.view(padded.shape[0], -1, 32)
    largest = blocks.abs().amax(-1)
    exponent = torch.where(largest > 0, torch.ceil(torch.log2(largest / 448)) + 127, 0.0)
    scale = torch.where(exponent > 0, torch.exp2(exponent - 127), 1.0)
    stored = (blocks / scale.unsqueeze(-1)).to(torch.float8_e4m3fn)
    value = torch.where(exponent > 0, scale, 0.0).unsqueeze(-1) * stored.float()
    side = {
        "weight": stored.flatten(1),
        "weight_scale": swizzled(exponent.to(torch.uint8)),
        "comfy_quant": marker(format="mxfp8"),
    }
    return side, value.flatten(1)[:rows, :columns].contiguous()


def swizzled(exponents: torch.Tensor) -> torch.Tensor:
    """cuBLAS' 128x4 tile order of [N, K/32] exponents, byte by byte as its documentation counts."""
    rows, columns = exponents.shape
    tile_columns = -(-columns // 4)
    out = torch.zeros(-(-rows // 128) * 128 * tile_columns * 4, dtype=torch.uint8)
    row = torch.arange(rows).unsqueeze(1)
    column = torch.arange(columns).unsqueeze(0)
    tile = (row // 128) * tile_columns + column // 4
    offset = tile * 512 + (row % 32) * 16 + (row % 128) // 32 * 4 + column % 4
    out[offset.flatten()] = exponents.flatten()
    return out.view(-(-rows // 128) * 128, tile_columns * 4)


def _int8(weight: torch.Tensor) -> Quantised:
    scale = weight.abs().amax(1, keepdim=True) / 127
    stored = (weight / scale).round().to(torch.int8)
    side = {
        "weight": stored,
        "weight_scale": scale,
        "comfy_quant": marker(format="int8_tensorwise"),
    }
    return side, stored.float() * scale


def hadamard(size: int) -> torch.Tensor:
    """The regular Hadamard matrix of a power of 4, normalised."""
    block = torch.tensor([[1.0, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]])
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, block)
    return matrix / math.sqrt(size)


def _convrot(weight: torch.Tensor) -> Quantised:
    columns = weight.shape[1]
    group = next(g for g in (256, 64, 16, 4) if columns % g == 0)
    turned = (weight.view(weight.shape[0], -1, group) @ hadamard(group)).flatten(1)
    side, value = _int8(turned)
    side["comfy_quant"] = marker(
        format="int8_tensorwise", params={"convrot": True, "convrot_groupsize": group}
    )
    return side, (value.view(weight.shape[0], -1, group) @ hadamard(group)).flatten(1)


_QUANTISERS = {
    "scaled_fp8": _scaled_fp8,
    "float8_e4m3fn": lambda w: _comfy_float8(w, "float8_e4m3fn"),
    "float8_e5m2": lambda w: _comfy_float8(w, "float8_e5m2"),
    "mxfp8": _mxfp8,
    "int8_tensorwise": _int8,
    "convrot": _convrot,
}
KINDS = tuple(_QUANTISERS)
