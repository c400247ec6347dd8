# SPDX-License-Identifier: Apache-2.0
"""Build the official PidNet from a clone of nv-tlabs/PiD, on a machine that has only PyTorch.

The clone is the user's; nothing of it is in this repository.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import nn

NOT_NEEDED = (
    "pid._ext",
    "pid._ext.imaginaire",
    "pid._ext.imaginaire.utils",
    "pid._ext.imaginaire.utils.log",
    "pid._src.utils",
    "pid._src.utils.context_parallel",
)
"""Logging and multi-GPU modules that pull in a training stack; inference on one device calls
neither."""


def official_net(
    clone: Path, options: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> nn.Module:
    """The official network with float32 weights, as its own recipe has it, and without gradients.

    Args:
        clone: folder of a checked-out clone.
        options: constructor options under their official names.
        tensors: the weights, strictly.
    """
    sys.modules.update({name: MagicMock() for name in NOT_NEEDED})
    sys.path.insert(0, str(clone))
    from pid._src.networks.pid_net import PidNet  # pyright: ignore[reportMissingImports]

    with torch.device("meta"):
        net = PidNet(**options)
    net.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return net.eval().requires_grad_(False)
