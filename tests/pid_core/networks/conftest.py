# SPDX-License-Identifier: Apache-2.0
"""Tiny networks with random weights for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pid_core.networks.pid_net import PidNet, PidNetSizes

OPTIONS: dict[str, Any] = {
    "in_channels": 3,
    "num_groups": 2,
    "hidden_size": 16,
    "pixel_hidden_size": 4,
    "pixel_attn_hidden_size": 24,
    "pixel_num_groups": 2,
    "patch_depth": 3,
    "pixel_depth": 1,
    "patch_size": 4,
    "txt_embed_dim": 12,
    "txt_max_length": 6,
    "use_text_rope": True,
    "rope_mode": "ntk_aware",
    "rope_ref_h": 32,
    "rope_ref_w": 64,
    "lq_in_channels": 0,
    "lq_latent_channels": 8,
    "lq_hidden_dim": 8,
    "lq_num_res_blocks": 1,
    "lq_latent_unpatchify_factor": 1,
    "lq_conv_padding_mode": "replicate",
    "lq_gate_type": "sigma_aware_per_token",
    "lq_interval": 2,
    "sr_scale": 2,
    "latent_spatial_down_factor": 4,
    "pit_lq_inject": True,
}
"""A small v1.5 network under the official option names."""


def make_net(**changes: Any) -> PidNet:
    """A network with every weight random, norms around 1."""
    net = PidNet(PidNetSizes.from_official({**OPTIONS, **changes}))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            values = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.copy_(values + ("norm" in name and name.endswith("weight")))
    return net


@pytest.fixture
def net() -> PidNet:
    """The network of OPTIONS."""
    return make_net()


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Standard normal tensors, the same in every run."""
    generator = torch.Generator().manual_seed(11)
    return lambda *shape: torch.randn(shape, generator=generator)
