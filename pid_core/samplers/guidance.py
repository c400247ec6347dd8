# SPDX-License-Identifier: Apache-2.0
"""Classifier-free guidance: away from the negative prompt, towards the prompt."""

from __future__ import annotations

import torch

from pid_core.samplers.step import Velocity


def guided(prompted: Velocity, negative: Velocity, scale: float) -> Velocity:
    """The velocity that a sampler follows.

    Only the caption differs between the two; latent and sigma are the same. They run one after
    the other, which holds the activations of one of them at a time.

    Args:
        prompted: velocity under the prompt.
        negative: velocity under the negative prompt.
        scale: 1 = `prompted` alone, at half the cost; above 1 exaggerates the difference.
    """
    if scale == 1:
        return prompted
    return lambda x, t: steered(negative(x, t), prompted(x, t), scale)


def steered(negative: torch.Tensor, prompted: torch.Tensor, scale: float) -> torch.Tensor:
    """From the negative prompt's velocity past the prompt's."""
    return negative + scale * (prompted - negative)
