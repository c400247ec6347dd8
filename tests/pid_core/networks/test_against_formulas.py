# SPDX-License-Identifier: Apache-2.0
"""The network equals its formulas for every option, also for those that no released file has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.pid_core.networks.conftest import OPTIONS, make_net
from tests.pid_core.networks.naive_pid import pid_net

V1 = {
    "lq_gate_type": "sigma_aware_per_token_per_dim",
    "lq_conv_padding_mode": "zeros",
    "pit_lq_inject": False,
}

CASES: dict[str, tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = {
    "v1.5": ({}, (12, 20), (6, 10)),
    "v1": (V1, (12, 20), (6, 10)),
    "interval 3 at depth 5": ({"lq_interval": 3, "patch_depth": 5}, (8, 12), (4, 6)),
    "every block": ({"lq_interval": 1, "patch_depth": 2}, (8, 12), (4, 6)),
    "cells repeated": ({"sr_scale": 4}, (16, 24), (1, 2)),
    "cells repeated, size off": ({"sr_scale": 4}, (20, 28), (2, 3)),
    "one cell a patch": ({"sr_scale": 1}, (12, 20), (3, 5)),
    "one cell a patch, size off": ({"sr_scale": 1}, (12, 20), (4, 4)),
    "cells folded": ({"sr_scale": 1, "latent_spatial_down_factor": 2}, (8, 12), (4, 6)),
    "cells folded, size off": ({"sr_scale": 1, "latent_spatial_down_factor": 2}, (8, 12), (5, 5)),
    "packed latent": ({"lq_latent_unpatchify_factor": 2, "sr_scale": 4}, (16, 24), (2, 3)),
    "reflected border": ({"lq_conv_padding_mode": "reflect"}, (12, 20), (6, 10)),
    "plain rotation": ({"rope_mode": "original"}, (12, 8), (6, 4)),
    "text without position": ({"use_text_rope": False}, (8, 8), (4, 4)),
    "no residual blocks": ({"lq_num_res_blocks": 0}, (8, 8), (4, 4)),
    "one column of patches": ({}, (12, 4), (6, 2)),
    "long caption is cut": ({"txt_max_length": 4}, (8, 8), (4, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_network_equals_its_formulas(case: str, draw: Callable[..., torch.Tensor]) -> None:
    changes, (height, width), latent_size = CASES[case]
    options = {**OPTIONS, **changes}
    net = make_net(**changes)
    image, text = draw(2, 3, height, width), draw(2, 6, options["txt_embed_dim"])
    latent = draw(2, options["lq_latent_channels"], *latent_size)
    # Small times: at 866 the rounding of float32 time features alone would be 5e-5.
    timestep, sigma = torch.tensor([3.5, 0.75]), torch.tensor([0.0, 0.4])
    ours = net(image, timestep, text, latent, sigma)
    weights = {name: value.double() for name, value in net.state_dict().items()}
    for i in range(2):  # one sample after the other also shows that they do not mix
        truth = pid_net(
            weights,
            options,
            image[i].double(),
            float(timestep[i]),
            text[i].double(),
            latent[i].double(),
            float(sigma[i]),
        )
        difference = (ours[i] - truth).norm() / truth.norm()
        assert difference < 5e-6, f"sample {i}: {difference:.1e}"
