# SPDX-License-Identifier: Apache-2.0
"""A network of the released size with random weights: what the benchmarks measure."""

from __future__ import annotations

from typing import Any

import torch

from pid_core.networks.pid_net import PidNet, PidNetSizes
from pid_core.samplers.noise import NoiseStream

V15_FLUX: dict[str, Any] = {
    "in_channels": 3,
    "num_groups": 24,
    "hidden_size": 1536,
    "pixel_hidden_size": 16,
    "pixel_attn_hidden_size": 1152,
    "pixel_num_groups": 16,
    "patch_depth": 14,
    "pixel_depth": 2,
    "patch_size": 16,
    "txt_embed_dim": 2304,
    "txt_max_length": 300,
    "rope_mode": "ntk_aware",
    "rope_ref_h": 2048,
    "rope_ref_w": 2048,
    "lq_in_channels": 0,
    "lq_latent_channels": 16,
    "lq_hidden_dim": 1024,
    "lq_num_res_blocks": 4,
    "lq_conv_padding_mode": "replicate",
    "lq_gate_type": "sigma_aware_per_token",
    "lq_interval": 2,
    "sr_scale": 4,
    "latent_spatial_down_factor": 8,
    "pit_lq_inject": True,
}
"""Options of PiD v1.5 for FLUX.1 latents, under their official names."""


def random_weights(sizes: PidNetSizes) -> dict[str, torch.Tensor]:
    """Every tensor of a network in bfloat16; none is zero, so that all of the network counts."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in PidNet(sizes).state_dict().items()}
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator, dtype=torch.bfloat16)
        if values.dim() > 1:
            values *= values[0].numel() ** -0.5
        else:
            values = 0.1 * values + name.endswith("weight")  # norm scales lie around 1
        tensors[name] = values
    return tensors


def load_net(sizes: PidNetSizes, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> PidNet:
    """Our network over the given weights, in `dtype`."""
    with torch.device("meta"):
        net = PidNet(sizes)
    net.load_state_dict({k: v.to(dtype, copy=True) for k, v in tensors.items()}, assign=True)
    return net


def inputs(side_px: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Caption embeddings [1, 300, 2304], latent [1, 16, side / 32, side / 32] and sigma [1]."""
    stream = NoiseStream(2)
    caption = stream.draw((1, 300, V15_FLUX["txt_embed_dim"]))
    latent = stream.draw((1, 16, side_px // 32, side_px // 32))
    return caption, latent, torch.full((1,), 0.1)


def decode_operations(side_px: int, steps: int) -> float:
    """Additions and multiplications that a decode needs.

    Counts what has to be done, not what is: the latent's features once, no dead text layers.

    Args:
        side_px: side of the output.
        steps: calls of the network.
    """
    sizes = PidNetSizes.from_official(V15_FLUX)
    tokens, text = (side_px // sizes.patch_px) ** 2, sizes.caption_length
    hidden, depth = sizes.hidden_size, sizes.num_patch_blocks
    block = 4 * hidden**2 + 3 * hidden * sizes.feed_forward_size
    wide = sizes.patch_pixels * sizes.pixel_size
    attention = sizes.pixel_attention_size
    pixel = 6 * wide * hidden + 2 * wide * attention + 4 * attention**2
    step = (
        tokens * depth * block
        + text * (depth - 1) * block
        + tokens * sizes.num_pixel_blocks * pixel
    )
    step += 2 * (depth - 1) * (tokens + text) ** 2 * hidden + 2 * tokens * (tokens + text) * hidden
    step += 2 * sizes.num_pixel_blocks * tokens**2 * attention
    convolutions = 9 * sizes.latent_hidden_size**2 * (1 + 2 * sizes.num_res_blocks)
    heads = (sizes.num_injections + 1) * sizes.latent_hidden_size * hidden
    return 2 * (steps * step + tokens * (convolutions + heads))
