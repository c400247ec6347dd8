# SPDX-License-Identifier: Apache-2.0
"""Latents with noise left in them: made on purpose, or taken from a base model stopped early.

The network is told how much noise there is; latent and sigma always move together.
"""

from __future__ import annotations

import math

import torch

from pid_core.errors import InvalidOptions

FRAMES = ("flow", "variance_preserving")
"""How a family mixes noise in: FLUX, SD3 and Qwen-Image are `flow`, SDXL is the other."""


def add_noise(
    latent: torch.Tensor, noise: torch.Tensor, sigma: float, frame: str = "flow"
) -> torch.Tensor:
    """Noise a clean latent to `sigma`.

    Args:
        latent: [B, C, h, w] float32, clean and normalised.
        noise: like `latent`, standard normal, from `latent_stream`.
        sigma: in [0, 1]; 0 gives the latent back, networks were trained up to 0.8.
        frame: one of FRAMES.
    Raises:
        InvalidOptions: sigma is outside [0, 1], or there is no such frame.
    """
    if not 0 <= sigma <= 1 or frame not in FRAMES:
        raise InvalidOptions(
            f"cannot noise a latent to sigma {sigma} in frame {frame!r}",
            hint=f"sigma lies in [0, 1]; frames: {', '.join(FRAMES)}",
        )
    keep = 1 - sigma if frame == "flow" else math.sqrt(1 - sigma**2)
    return keep * latent + sigma * noise


def from_variance_exploding(latent: torch.Tensor, sigma: float) -> tuple[torch.Tensor, float]:
    """An SDXL latent as its Euler scheduler holds it, in the frame that PiD reads.

    Args:
        latent: [B, 4, h, w] float32 after some step of the base model.
        sigma: the scheduler's sigma after that step, 0 or more (not limited to 1).
    Returns:
        The latent scaled to unit variance, and its sigma in [0, 1).
    Raises:
        InvalidOptions: sigma is negative.
    """
    if sigma < 0:
        raise InvalidOptions(f"an Euler scheduler's sigma is not negative: {sigma}")
    norm = math.sqrt(sigma**2 + 1)
    return latent / norm, sigma / norm
