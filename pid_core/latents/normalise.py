# SPDX-License-Identifier: Apache-2.0
"""Between an encoder's mean and the latent that PiD was trained on. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import (
    Affine,
    Normalisation,
    PackedStatistics,
    PerChannel,
    TokenLayerNorm,
    TokenStatistics,
)

_PACK = 2


@dataclass(frozen=True)
class Statistics:
    """Means and variances that lie in a file."""

    mean: torch.Tensor
    """[C] after packing, or [1, C, h, w]; float32."""
    var: torch.Tensor
    """Of the same shape."""


def normalise(
    mean: torch.Tensor, rule: Normalisation, statistics: Statistics | None = None
) -> torch.Tensor:
    """An encoder's mean -> latent.

    Args:
        mean: [B, C, h, w] float32; for FLUX.2 the 32 channels at 1/8.
        rule: the family's.
        statistics: from the VAE's file, where the rule needs them.
    Returns:
        [B, channels, h', w'] float32; FLUX.2 is packed to 128 channels at 1/16.
    Source: nv-tlabs/PiD 2c8814c, tokenizers/*
    """
    if isinstance(rule, Affine):
        return (mean - rule.shift) * rule.scale
    if isinstance(rule, PerChannel):
        means, stds = _vectors(rule, mean)
        return (mean - means) / stds
    if isinstance(rule, TokenLayerNorm):
        channels_last = mean.movedim(1, -1)
        return F.layer_norm(channels_last, mean.shape[1:2], eps=rule.eps).movedim(-1, 1)
    if isinstance(rule, PackedStatistics):
        mean = F.pixel_unshuffle(mean, _PACK)  # channels in the order (c, dy, dx)
    centre, spread = _from_file(rule, statistics, mean)
    return (mean - centre) / spread


def denormalise(
    latent: torch.Tensor, rule: Normalisation, statistics: Statistics | None = None
) -> torch.Tensor:
    """Latent -> what the VAE's decoder reads; the inverse of `normalise`.

    Raises:
        CheckpointMismatch: a layer norm cannot be undone.
    """
    if isinstance(rule, Affine):
        return latent / rule.scale + rule.shift
    if isinstance(rule, PerChannel):
        means, stds = _vectors(rule, latent)
        return latent * stds + means
    if isinstance(rule, TokenLayerNorm):
        raise CheckpointMismatch("A layer norm forgets its input's scale and cannot be undone.")
    centre, spread = _from_file(rule, statistics, latent)
    raw = latent * spread + centre
    return F.pixel_shuffle(raw, _PACK) if isinstance(rule, PackedStatistics) else raw


def _vectors(rule: PerChannel, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    means, stds = (
        torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
        for values in (rule.means, rule.stds)
    )
    return means, stds


def _from_file(
    rule: PackedStatistics | TokenStatistics, statistics: Statistics | None, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    if statistics is None:
        raise CheckpointMismatch("This latent family is normalised by statistics from its file.")
    centre, var = (
        value.to(like.device, torch.float32).view(1, -1, 1, 1) if value.dim() == 1 else value
        for value in (statistics.mean, statistics.var)
    )
    return centre, (var + rule.eps).sqrt()
