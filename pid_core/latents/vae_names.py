# SPDX-License-Identifier: Apache-2.0
"""Encoder tensors of every VAE layout under the names that diffusers' classes use.

Only what encodes is kept: encoder, quantising convolution, statistics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from pid_core.inspect.detect_vae import LDM, WAN, WAN_2D

_KEPT = ("encoder.", "quant_conv.", "bn.")

# LDM -> diffusers, in this order. Source: CompVis/latent-diffusion's module tree.
_LDM = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^encoder\.quant_conv\.", "quant_conv."),  # one FLUX.2 build keeps it inside
        (r"\.down\.(\d+)\.block\.(\d+)\.", r".down_blocks.\1.resnets.\2."),
        (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
        (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
        (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
        (r"^encoder\.norm_out\.", "encoder.conv_norm_out."),
    )
)

# names that diffusers itself used before 0.15
_OLD_ATTENTION = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


def diffusers_names(tensors: Mapping[str, torch.Tensor], layout: str) -> dict[str, torch.Tensor]:
    """Rename a VAE's encoder tensors.

    Args:
        tensors: by the names in the file.
        layout: as `describe_vae` calls it.
    Returns:
        Encoder, quantising convolution and statistics alone.
    """
    if layout in (WAN, WAN_2D):
        from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

        renamed = convert_wan_vae_to_diffusers(dict(tensors))
    elif layout == LDM:
        renamed = {_from_ldm(name): tensor for name, tensor in tensors.items()}
    else:
        renamed = {_with_new_attention(name): tensor for name, tensor in tensors.items()}
    return {
        name: _as_linear(name, tensor)
        for name, tensor in renamed.items()
        if name.startswith(_KEPT) and not name.endswith("num_batches_tracked")
    }


def _from_ldm(name: str) -> str:
    for pattern, replacement in _LDM:
        name = pattern.sub(replacement, name)
    return name


def _with_new_attention(name: str) -> str:
    for old, new in _OLD_ATTENTION.items():
        name = name.replace(old, new)
    return name


def _as_linear(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Attention projections that a file holds as 1x1 convolutions, as matrices."""
    is_projection = ".attentions." in name and (".to_q." in name or ".to_k." in name)
    is_projection |= ".attentions." in name and (".to_v." in name or ".to_out." in name)
    if is_projection and tensor.dim() == 4:
        return tensor.flatten(1)
    return tensor
