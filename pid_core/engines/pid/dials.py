# SPDX-License-Identifier: Apache-2.0
"""What the dials of a job mean for PiD."""

from __future__ import annotations

from pid_core.engines.base import EngineOptions
from pid_core.errors import InvalidOptions

FULL_REPAIR_SIGMA = 0.6
"""Sigma at the right end of Faithful - Repair. Networks were trained up to 0.8, where little more
than composition is left of the source; 0.1 to 0.2 already loosens texture."""
MAX_SIGMA = 0.8
"""The most noise that the networks were trained with."""
NEGATIVE_PROMPT = "blurry, low quality, compression artefacts, oversharpened, distorted, watermark"
"""What undistilled weights steer away from where the user names nothing."""


def sigma_of(options: EngineOptions) -> float:
    """Noise that the decoder assumes in the latent, and that is mixed into it.

    Latent and sigma always move together: sigma alone, on a clean latent, only flattens the
    picture.

    Returns:
        The user's own sigma, or FULL_REPAIR_SIGMA * repair.
    Raises:
        InvalidOptions: out of the trained range.
    """
    if not 0 <= options.repair <= 1:
        raise InvalidOptions(f"repair is {options.repair}, expected 0 to 1.")
    sigma = FULL_REPAIR_SIGMA * options.repair if options.sigma is None else options.sigma
    if not 0 <= sigma <= MAX_SIGMA:
        raise InvalidOptions(
            f"sigma is {sigma}; PiD was trained with 0 to {MAX_SIGMA}.",
            hint="Choose a smaller one.",
        )
    return sigma
