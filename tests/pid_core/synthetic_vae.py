# SPDX-License-Identifier: Apache-2.0
"""Small random VAEs of every family, saved in the layouts that users have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

FAMILIES = ("flux", "flux2", "sd3", "sdxl", "qwenimage")


def vae(family: str, seed: int = 0) -> Any:
    """diffusers' own class for the family, small, with random weights and statistics."""
    from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage

    torch.manual_seed(seed)
    if family == "qwenimage":
        return AutoencoderKLQwenImage(base_dim=8).eval()
    blocks = 4
    sizes: dict[str, Any] = {
        "block_out_channels": (32,) * (blocks - 1) + (64,),
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "layers_per_block": 1,
    }
    if family == "flux2":
        made = AutoencoderKLFlux2(**sizes).eval()
        made.bn.running_mean.normal_()
        made.bn.running_var.uniform_(0.5, 2)
        return made
    has_quant = family == "sdxl"
    return AutoencoderKL(
        **sizes,
        latent_channels=4 if has_quant else 16,
        use_quant_conv=has_quant,
        use_post_quant_conv=has_quant,
    ).eval()


def save(made: Any, path: Path, layout: str) -> Path:
    """Save a VAE.

    Args:
        made: from `vae`.
        path: where to.
        layout: `diffusers`, `ldm`, `wan`, or `wan-2d` (NVIDIA's strip, a pickle).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().contiguous() for name, t in made.state_dict().items()}
    if layout == "ldm":
        tensors = {_to_ldm(name): _to_convolution(name, t) for name, t in tensors.items()}
    elif layout.startswith("wan"):
        tensors = _to_wan(tensors)
    if layout == "wan-2d":
        tensors = {
            name: t[:, :, -1] if t.dim() == 5 else t.reshape(-1, 1, 1) if "gamma" in name else t
            for name, t in tensors.items()
            if "time_conv" not in name
        }
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    return path


def _to_ldm(name: str) -> str:
    blocks = 4
    for pattern, replacement in (
        (r"\.down_blocks\.(\d+)\.resnets\.(\d+)\.", r".down.\1.block.\2."),
        (r"\.down_blocks\.(\d+)\.downsamplers\.0\.", r".down.\1.downsample."),
        (r"\.conv_shortcut\.", ".nin_shortcut."),
        (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
        (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
        (r"\.attentions\.0\.group_norm\.", ".attn_1.norm."),
        (r"\.attentions\.0\.to_([qkv])\.", r".attn_1.\1."),
        (r"\.attentions\.0\.to_out\.0\.", ".attn_1.proj_out."),
        (r"\.mid_block\.attn_1\.", ".mid.attn_1."),
        (r"\.conv_norm_out\.", ".norm_out."),
    ):
        name = re.sub(pattern, replacement, name)
    return re.sub(
        r"\.up_blocks\.(\d+)\.resnets\.(\d+)\.",
        lambda match: f".up.{blocks - 1 - int(match[1])}.block.{match[2]}.",
        name,
    )


def _to_convolution(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if re.search(r"attentions\.0\.to_(q|k|v|out\.0)\.weight", name):
        return tensor[..., None, None].contiguous()
    return tensor


def _to_wan(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder under Wan 2.1's names; the decoder is not read, so it is left out."""
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(("decoder.", "post_quant_conv.")):
            continue
        for pattern, replacement in (
            (r"^quant_conv\.", "conv1."),
            (r"^encoder\.conv_in\.", "encoder.conv1."),
            (r"^encoder\.norm_out\.", "encoder.head.0."),
            (r"^encoder\.conv_out\.", "encoder.head.2."),
            (r"^encoder\.down_blocks\.", "encoder.downsamplers_."),
            (r"^encoder\.mid_block\.resnets\.0\.", "encoder.middle.0."),
            (r"^encoder\.mid_block\.attentions\.0\.", "encoder.middle.1."),
            (r"^encoder\.mid_block\.resnets\.1\.", "encoder.middle.2."),
            (r"downsamplers_", "downsamples"),
            (r"\.norm1\.", ".residual.0."),
            (r"\.conv1\.(?=weight|bias)", ".residual.2."),
            (r"\.norm2\.", ".residual.3."),
            (r"\.conv2\.(?=weight|bias)", ".residual.6."),
            (r"\.conv_shortcut\.", ".shortcut."),
            (r"^encoder\.residual\.2\.", "encoder.conv1."),
        ):
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed
