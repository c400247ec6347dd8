# SPDX-License-Identifier: Apache-2.0
"""PiD's own text-to-image: noise and captions -> image, with the network that PiD grew from."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pid_core.inspect.generations import (
    TEXT_TO_IMAGE_GUIDANCE,
    TEXT_TO_IMAGE_STEPS,
    PixelDitVariant,
)
from pid_core.networks.pixeldit import PixelDit
from pid_core.samplers.dpm_solver import sample_dpm_solver
from pid_core.samplers.guidance import guided
from pid_core.samplers.schedule import dynamic_shift, flow_timesteps
from pid_core.samplers.step import SamplerStep


def text_to_image(
    net: PixelDit,
    training: PixelDitVariant,
    caption: torch.Tensor,
    negative_caption: torch.Tensor,
    noise: torch.Tensor,
    *,
    num_steps: int = TEXT_TO_IMAGE_STEPS,
    guidance: float = TEXT_TO_IMAGE_GUIDANCE,
) -> Iterator[SamplerStep]:
    """Make an image from words, one yield per step; closing the generator cancels.

    Args:
        net: the network.
        training: its declared row, for the timestep shift.
        caption: [B, 300, caption_size] float, embeddings of the prompt.
        negative_caption: likewise, of what the image must not show.
        noise: [B, 3, H, W] float32, standard normal, on the network's device; sides are multiples
            of the patch.
        num_steps: at least 1.
        guidance: 1 = the prompt alone, at half the cost.
    Yields:
        SamplerStep; the last one's state is the image, nominally in [-1, 1], not clamped.
    Raises:
        ShapeMismatch: a size does not fit.
        InvalidOptions: no steps.
    Source: nv-tlabs/PiD 2c8814c, models/pixeldit_model.py
    """
    height, width = noise.shape[-2:]
    shift = training.shift
    if training.dynamic_shift is not None:
        shift = dynamic_shift(height, width, *training.dynamic_shift)
    prompted = net.prepare(caption, height, width)
    field = guided(
        net.velocity_field(prompted),
        net.velocity_field(net.with_caption(prompted, negative_caption)),
        guidance,
    )
    return sample_dpm_solver(field, noise, flow_timesteps(num_steps, shift))
