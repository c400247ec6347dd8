# SPDX-License-Identifier: Apache-2.0
"""Random numbers of a run: reproducible from its seed, one stream for each purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

_LATENT_STREAM = b"pid-layers latent noise "


class NoiseStream:
    """Standard normal tensors in a fixed order, drawn on the CPU.

    CUDA and CPU generators give different numbers for the same seed; drawing on the CPU makes the
    noise, though not the last bit of the arithmetic, the same on every device.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def draw(self, shape: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
        """The stream's next tensor: float32, on `device`."""
        return torch.randn(tuple(shape), generator=self._generator).to(device)


def pixel_stream(seed: int) -> NoiseStream:
    """The noise that the image starts from, and what is put back between steps.

    Args:
        seed: in [0, 2^63), used as it is: the official sampler draws the same numbers on a CPU.
    """
    return NoiseStream(seed)


def latent_stream(seed: int) -> NoiseStream:
    """The noise that is mixed into a latent; independent of the pixels' for the same seed.

    With one stream for both, the first values of the two would be equal, and the network would see
    the latent's noise again in its own input.
    """
    digest = hashlib.sha256(_LATENT_STREAM + str(seed).encode()).digest()
    return NoiseStream(int.from_bytes(digest[:8], "little") >> 1)
