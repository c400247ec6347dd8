# SPDX-License-Identifier: Apache-2.0
"""What a PiD checkpoint does not say about itself: one declared row per generation and per variant.

Padding mode, RoPE reference and trained sizes lie in no file, and a wrong one is silent (a wrong
padding changes the output by 63 %). Source: nv-tlabs/PiD 2c8814c, configs/pid/*. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pid_core.errors import InvalidOptions


@dataclass(frozen=True)
class Generation:
    """One architecture generation of the network."""

    name: str
    """`v1` or `v1.5`."""
    gate_type: str
    """Official name of the gate that injects the latent."""
    conv_padding: str
    """Padding of the latent branch's convolutions."""
    rope_reference_px: int
    """Side of the image whose RoPE grid needs no NTK correction."""
    pit_injection: bool
    """The latent also enters between patch blocks and pixel blocks."""


@dataclass(frozen=True)
class TrainedSizes:
    """Output sizes that a variant was trained on; outside of them colours drift or collapse."""

    min_area_px: int
    """Smallest output area."""
    max_area_px: int
    """Largest output area."""
    max_side_px: int
    """Longest output side."""
    max_aspect: float
    """Longest side over shortest side."""


@dataclass(frozen=True)
class Variant:
    """One training stage that files were released from."""

    name: str
    """`2k`, `2kto4k`, `2kto4k_v1pt5` as NVIDIA's `pid_ckpt_type` spells them."""
    generation: str
    """Its architecture."""
    sizes: TrainedSizes
    """What it was trained on."""
    shift: float
    """Timestep shift of undistilled checkpoints where no dynamic shift applies."""
    dynamic_shift: tuple[float, int] | None
    """(base shift, side it holds for) of undistilled checkpoints, or None."""


GENERATIONS: Mapping[str, Generation] = {
    row.name: row
    for row in (
        Generation("v1", "sigma_aware_per_token_per_dim", "zeros", 1024, False),
        Generation("v1.5", "sigma_aware_per_token", "replicate", 2048, True),
    )
}
"""Rows by their name."""

# The smallest level is 2048^2 in all; its smallest bucket, snapped and clipped, is 2304 x 1728.
_SMALLEST_AREA_PX = 2304 * 1728
_WIDEST = 16 / 9 + 0.01  # 4096 x 2304 exactly; snapped sides reach a little beyond
_AT_2K = TrainedSizes(_SMALLEST_AREA_PX, 2688 * 1792, 2688, _WIDEST)
_TO_4K = TrainedSizes(_SMALLEST_AREA_PX, 4096 * 4096, 4096, _WIDEST)


@dataclass(frozen=True)
class PixelDitVariant:
    """One training of the text-to-image network; their tensors look alike."""

    name: str
    """`1024px`, NVIDIA's original, or `2kto4k`, the one that PiD started from."""
    rope_mode: str
    """`original` or `ntk_aware`."""
    rope_reference_px: int
    """Side of the image whose RoPE grid needs no NTK correction."""
    shift: float
    """Timestep shift where no dynamic shift applies."""
    dynamic_shift: tuple[float, int] | None
    """(base shift, side it holds for), or None."""


PIXELDIT_VARIANTS: Mapping[str, PixelDitVariant] = {
    row.name: row
    for row in (
        PixelDitVariant("1024px", "original", 1024, 4.0, None),
        PixelDitVariant("2kto4k", "ntk_aware", 2048, 6.0, (6.0, 2048)),
    )
}
"""Rows by their name."""
TEXT_TO_IMAGE_STEPS = 50
"""Steps of text-to-image, as the official configuration has them."""
TEXT_TO_IMAGE_GUIDANCE = 2.75
"""Guidance scale of text-to-image, likewise."""

TEACHER_STEPS = 25
"""Steps of undistilled weights, as the official configuration has them; the dial is the
student's."""
TEACHER_GUIDANCE = 5.0
"""Guidance scale of undistilled weights, likewise; it takes two evaluations of every step."""

VARIANTS: Mapping[str, Variant] = {
    row.name: row
    for row in (
        Variant("2k", "v1", _AT_2K, 6.0, None),
        Variant("2kto4k", "v1", _TO_4K, 6.0, (4.0, 1024)),
        Variant("2kto4k_v1pt5", "v1.5", _TO_4K, 6.0, (6.0, 2048)),
    )
}
"""Rows by their name."""


def variant(name: str) -> Variant:
    """The row of a variant.

    Raises:
        InvalidOptions: there is no such variant.
    """
    if name not in VARIANTS:
        raise InvalidOptions(
            f"There is no PiD variant {name!r}.", hint=f"Variants: {', '.join(VARIANTS)}."
        )
    return VARIANTS[name]
