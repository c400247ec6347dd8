# SPDX-License-Identifier: Apache-2.0
"""The latent families, one declared row each: channels, factors, normalisation, noise frame.

FLUX.1, SD3 and Qwen-Image all have 16 channels at 1/8, so a family is never guessed from weights
alone.
Source: nv-tlabs/PiD 2c8814c, tokenizers/*; the figures are held against golden vectors by the
tests. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pid_core.errors import InvalidOptions


@dataclass(frozen=True)
class Affine:
    """latent = (mean - shift) * scale."""

    shift: float
    scale: float


@dataclass(frozen=True)
class PerChannel:
    """latent = (mean - means[c]) / stds[c]."""

    means: tuple[float, ...]
    stds: tuple[float, ...]


@dataclass(frozen=True)
class PackedStatistics:
    """2x2 cells are packed into channels (c, dy, dx), then normalised by statistics that lie in
    the VAE's file."""

    eps: float


@dataclass(frozen=True)
class TokenStatistics:
    """(token - mean) / sqrt(var + eps) with [C, h, w] statistics from a file of their own."""

    eps: float


@dataclass(frozen=True)
class TokenLayerNorm:
    """Layer norm over the channels without learned scale."""

    eps: float


Normalisation = Affine | PerChannel | PackedStatistics | TokenStatistics | TokenLayerNorm


@dataclass(frozen=True)
class Backbone:
    """One latent family."""

    name: str
    """Identifier: `flux`, `flux2`, `sd3`, `sdxl`, `qwenimage`, `dinov2`, `siglip`."""
    title: str
    """What people call it, with the models that share it."""
    channels: int
    """Channels of the latent that PiD receives."""
    downsample: int
    """Image pixels per latent cell, along one side."""
    normalisation: Normalisation
    """From the encoder's mean to the latent."""
    noise_frame: str = "flow"
    """How noise and latent mix: `flow` or `variance_preserving`."""
    upscale: int = 4
    """Output pixels per encoded image pixel."""
    vae: bool = True
    """A VAE of this family can be loaded to encode pictures."""
    licence: str = ""
    """Licence of the VAE, in one sentence."""

    @property
    def vae_channels(self) -> int:
        """Channels of the encoder's mean, before packing."""
        return (
            self.channels // 4
            if isinstance(self.normalisation, PackedStatistics)
            else self.channels
        )


_QWEN_MEANS = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
_QWEN_STDS = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip

_ROWS = (
    Backbone(
        "flux", "FLUX.1, Z-Image", 16, 8, Affine(0.1159, 0.3611),
        licence="Apache-2.0, as FLUX.1 schnell and Z-Image ship it.",
    ),
    Backbone(
        "flux2", "FLUX.2, FLUX.2 klein", 128, 16, PackedStatistics(1e-4),
        licence="Apache-2.0, as FLUX.2 klein 4B ships it.",
    ),
    Backbone(
        "sd3", "SD3, SD3.5", 16, 8, Affine(0.0609, 1.5305),
        licence="Stability Community Licence: free below 1 M$ of yearly revenue.",
    ),
    Backbone(
        "sdxl", "SDXL", 4, 8, Affine(0.0, 0.13025), noise_frame="variance_preserving",
        licence="OpenRAIL++-M: commercial use with use restrictions.",
    ),
    Backbone(
        "qwenimage", "Qwen-Image", 16, 8, PerChannel(_QWEN_MEANS, _QWEN_STDS),
        licence="Apache-2.0.",
    ),
    Backbone("dinov2", "DINOv2 RAE", 768, 16, TokenStatistics(1e-5), vae=False),
    Backbone("siglip", "SigLIP-2 Scale-RAE", 1152, 16, TokenLayerNorm(1e-6), upscale=8, vae=False),
)  # fmt: skip

BACKBONES: Mapping[str, Backbone] = {row.name: row for row in _ROWS}
"""Rows by their name."""


def backbone(name: str) -> Backbone:
    """The row of a family.

    Raises:
        InvalidOptions: there is no such family.
    """
    if name not in BACKBONES:
        raise InvalidOptions(
            f"There is no latent family {name!r}.", hint=f"Families: {', '.join(BACKBONES)}."
        )
    return BACKBONES[name]
