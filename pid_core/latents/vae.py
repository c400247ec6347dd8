# SPDX-License-Identifier: Apache-2.0
"""A VAE file of any layout -> an encoder that is ready to run. Decoders are left out: PiD
decodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pid_core.checkpoints.exact import require_exact
from pid_core.checkpoints.sources import open_tensors
from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import backbone
from pid_core.inspect.description import VAE, Declared
from pid_core.inspect.detect import describe
from pid_core.latents.encoder import LatentEncoder
from pid_core.latents.normalise import Statistics
from pid_core.latents.vae_names import diffusers_names

_ENCODES = ("encoder.", "quant_conv.")


def load_encoder(
    path: Path,
    family: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LatentEncoder:
    """Load the encoder of a VAE.

    Args:
        path: LDM, diffusers or Wan layout, safetensors or .pth.
        family: the latent family it has to belong to.
        device: where it computes.
        dtype: of its arithmetic; the official code encodes in bfloat16.
    Raises:
        CheckpointMissing: there is no such file.
        CheckpointMismatch: it is no VAE of that family, or its tensors are not exactly the
            network's.
    """
    found = describe(path, Declared(family=family))
    if found.role != VAE or found.problem:
        raise CheckpointMismatch(
            f"{path.name} is no usable VAE: {found.problem or f'it is a {found.role} file.'}",
            hint=found.hint,
        )
    row = backbone(family)
    tensors = diffusers_names(open_tensors(path), found.layout)
    statistics = None
    if "bn.running_mean" in tensors:
        statistics = Statistics(
            tensors["bn.running_mean"].float(), tensors["bn.running_var"].float()
        )
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(_ENCODES)}
    _require_ends(path.name, weights)
    with torch.device("meta"):
        network = _qwen(weights) if family == "qwenimage" else _kl(weights)
    network.decoder = nn.Identity()
    expected = {
        name: tensor for name, tensor in network.state_dict().items() if name.startswith(_ENCODES)
    }
    if family == "qwenimage":
        weights = _for_single_frames(weights, expected)
    require_exact(
        path.name,
        {name: tensor.shape for name, tensor in expected.items()},
        {name: tensor.shape for name, tensor in weights.items()},
    )
    moved = {name: tensor.to(device, dtype) for name, tensor in weights.items()}
    network.load_state_dict(moved, strict=False, assign=True)
    network.post_quant_conv = nn.Identity()
    return LatentEncoder(
        network.eval().requires_grad_(False), row, statistics, torch.device(device), dtype
    )


def _require_ends(file_name: str, weights: Mapping[str, torch.Tensor]) -> None:
    """Both ends of the encoder tell its sizes, so they are looked for first."""
    for name in ("encoder.conv_in.weight", "encoder.conv_out.weight"):
        if name not in weights:
            raise CheckpointMismatch(
                f"{file_name} has no tensor {name}.", hint="The file is damaged or incomplete."
            )


def _kl(weights: Mapping[str, torch.Tensor]) -> Any:
    """diffusers' KL autoencoder with the sizes of a file."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    channels = tuple(
        weights[f"encoder.down_blocks.{index}.resnets.0.conv1.weight"].shape[0]
        for index in range(_count(weights, r"encoder\.down_blocks\.(\d+)\."))
    )
    sizes: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "block_out_channels": channels,
        "layers_per_block": _count(weights, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "latent_channels": weights["encoder.conv_out.weight"].shape[0] // 2,
        "use_quant_conv": "quant_conv.weight" in weights,
        "use_post_quant_conv": False,
        "mid_block_add_attention": "encoder.mid_block.attentions.0.to_q.weight" in weights,
    }
    return AutoencoderKL(**sizes)


def _qwen(weights: Mapping[str, torch.Tensor]) -> Any:
    """diffusers' Qwen-Image autoencoder (Wan 2.1) with the widths of a file."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(
        base_dim=weights["encoder.conv_in.weight"].shape[0],
        z_dim=weights["encoder.conv_out.weight"].shape[0] // 2,
    )


def _for_single_frames(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Fit NVIDIA's 2-D strip into the 3-D network, which sees the one frame with its last tap.

    Source: nv-tlabs/PiD, tokenizers/qwenimage_vae.py: same names, convolutions without time, no
    temporal downsampling (which a single frame never reaches).
    """
    fitted = dict(weights)
    for name, tensor in weights.items():
        shape = expected[name].shape if name in expected else tensor.shape
        if len(shape) == 5 and tensor.dim() == 4:
            kernel = tensor.new_zeros(shape[:2] + (shape[2],) + tensor.shape[2:])
            kernel[:, :, -1] = tensor
            fitted[name] = kernel
        elif name.endswith(".gamma") and tensor.numel() == shape.numel():
            fitted[name] = tensor.reshape(shape)
    if any(tensor.dim() == 5 for tensor in weights.values()):
        return fitted
    for name, tensor in expected.items():
        if ".time_conv." in name:
            fitted.setdefault(name, torch.zeros(tensor.shape))
    return fitted


def _count(weights: Mapping[str, torch.Tensor], pattern: str) -> int:
    expression = re.compile(pattern)
    return 1 + max((int(m[1]) for m in map(expression.match, weights) if m), default=-1)
