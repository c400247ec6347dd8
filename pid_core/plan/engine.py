# SPDX-License-Identifier: Apache-2.0
"""The part of a plan that an engine executes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnginePlan:
    """How an engine will go through one picture. The same plan, seed and device give the same
    bytes."""

    engine: str
    """Name of the engine that this plan is for."""
    width_px: int
    """Width of the engine's input."""
    height_px: int
    """Height of the engine's input."""
    scale: int
    """Pixels out per pixel in, along one side."""
    tile_px: int
    """Longest side of one tile's core, in input pixels; a picture within it is done whole."""
    overlap_px: int
    """Input pixels around a core that the engine also reads (halo), or that two tiles share
    (blend)."""
    wrap: str = "none"
    """Edges that continue on the opposite side: `none`, `x`, `y` or `both`."""
    dtype: str = "float32"
    """Arithmetic of the network: `float32` or `bfloat16`."""
    steps: int = 1
    """Network evaluations for one tile."""
    tiles: int = 1
    """Tiles of the pass."""
    expected_s: float = 0.0
    """Seconds that the work should take, from measured coefficients; 0 = not known."""
    expected_bytes: int = 0
    """Peak memory beyond the resident weights, from measured coefficients; 0 = not known."""
