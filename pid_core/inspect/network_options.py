# SPDX-License-Identifier: Apache-2.0
"""A network's constructor options, read off the shapes of its tensors; the rest comes from the
declared rows.

The names are the official ones, so that the network's own reader of official options is the only
one. Torch-free.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import Backbone
from pid_core.inspect.generations import Generation, PixelDitVariant

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes by official tensor names."""

FIRST_CONV = "lq_proj.latent_proj.0.weight"
"""The latent's first convolution: its presence makes a PiD network, its width tells latent
families apart."""


def generation_of(shapes: Shapes) -> str:
    """`v1` or `v1.5`, from the tensors that only one of them has.

    Raises:
        CheckpointMismatch: the tensors contradict each other.
    """
    has_head = "lq_proj.pit_head.weight" in shapes
    gate_rows = _shape(shapes, "lq_proj.gate_modules.0.content_proj.bias")[0]
    hidden = _shape(shapes, "s_embedder.proj.bias")[0]
    if has_head and gate_rows == 1:
        return "v1.5"
    if not has_head and gate_rows == hidden:
        return "v1"
    raise CheckpointMismatch(
        f"Its gates have {gate_rows} rows and it has {'a' if has_head else 'no'} pixel injection "
        "head: "
        "no released PiD generation is built like that.",
        hint="v1 has one row per channel and no head, v1.5 one row and a head.",
    )


def backbone_options(shapes: Shapes) -> dict[str, Any]:
    """Options that PiD and PixelDiT share.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing.
    """
    hidden, patch_values = _shape(shapes, "s_embedder.proj.weight")
    pixel_size, image_channels = _shape(shapes, "pixel_embedder.proj.weight")
    attention = _shape(shapes, "pixel_blocks.0.compress_to_attn.bias")[0]
    _, caption_length, _ = _shape(shapes, "y_pos_embedding")
    return {
        "in_channels": image_channels,
        "hidden_size": hidden,
        "num_groups": hidden // _shape(shapes, "patch_blocks.0.attn.q_norm_x.weight")[0],
        "pixel_hidden_size": pixel_size,
        "pixel_attn_hidden_size": attention,
        "pixel_num_groups": attention // _shape(shapes, "pixel_blocks.0.attn.q_norm.weight")[0],
        "patch_depth": _count(shapes, r"patch_blocks\.(\d+)\."),
        "pixel_depth": _count(shapes, r"pixel_blocks\.(\d+)\."),
        "patch_size": math.isqrt(patch_values // image_channels),
        "txt_embed_dim": _shape(shapes, "y_embedder.proj.weight")[1],
        "txt_max_length": caption_length,
        "use_text_rope": True,
        "text_rope_theta": 10000.0,
    }


def pixeldit_options(shapes: Shapes, training: PixelDitVariant) -> dict[str, Any]:
    """Options of a text-to-image network.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing.
    """
    return {
        **backbone_options(shapes),
        "rope_mode": training.rope_mode,
        "rope_ref_h": training.rope_reference_px,
        "rope_ref_w": training.rope_reference_px,
    }


def pid_options(shapes: Shapes, generation: Generation, family: Backbone) -> dict[str, Any]:
    """Options of a PiD network.

    Raises:
        CheckpointMismatch: the first convolution does not fit the family.
    """
    hidden, conv_in = _shape(shapes, FIRST_CONV)[:2]
    options = backbone_options(shapes)
    gates = _count(shapes, r"lq_proj\.gate_modules\.(\d+)\.")
    options.update(
        rope_mode="ntk_aware",
        rope_ref_h=generation.rope_reference_px,
        rope_ref_w=generation.rope_reference_px,
        lq_latent_channels=family.channels,
        lq_hidden_dim=hidden,
        lq_num_res_blocks=_count(shapes, r"lq_proj\.latent_proj\.(\d+)\.block\.") - 3
        if any(".block." in name for name in shapes)
        else 0,
        lq_latent_unpatchify_factor=unpatchify(conv_in, family),
        lq_conv_padding_mode=generation.conv_padding,
        lq_gate_type=generation.gate_type,
        lq_interval=math.ceil(options["patch_depth"] / gates),
        sr_scale=family.upscale,
        latent_spatial_down_factor=family.downsample,
        pit_lq_inject=generation.pit_injection,
    )
    return options


def unpatchify(conv_in: int, family: Backbone) -> int:
    """Factor by which the network spreads a latent over space before its first convolution.

    Raises:
        CheckpointMismatch: the convolution does not fit the family.
    """
    for factor in (1, 2):
        if conv_in * factor**2 == family.channels:
            return factor
    raise CheckpointMismatch(
        f"Its first convolution takes {conv_in} channels; a latent of {family.title} has "
        f"{family.channels}.",
        hint="The file belongs to another latent family.",
    )


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise CheckpointMismatch(
            f"The file has no tensor {name}.", hint="It is incomplete or no PiD file."
        )
    return shapes[name]


def _count(shapes: Shapes, pattern: str) -> int:
    """1 + the largest index that the pattern captures."""
    expression = re.compile(pattern)
    return 1 + max((int(m[1]) for m in map(expression.match, shapes) if m), default=0)
