# SPDX-License-Identifier: Apache-2.0
"""What an engine is: image in, options, a generator that yields per tile or step, image out.

An engine knows nothing about documents, profiles, alpha or the size the user asked for:
`pid_core.upscale` gives it
an sRGB-encoded picture and fits what comes out. Runs on the worker's main thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from pid_core.plan import EnginePlan


@dataclass(frozen=True)
class EngineInfo:
    """What the record and the user are told about an engine and its weights."""

    name: str
    """Stable identifier: `compact`, `pid`, `identity`."""
    weights: str
    """Weights in use: a name with a version or the file's short hash; empty when there are none."""
    licence: str
    """SPDX identifier, or a short name such as `NSCLv1 (non-commercial)`."""
    scale: int
    """Pixels out per pixel in, along one side."""
    native_products: tuple[str, ...] = ()
    """Quantised formats that the device multiplies in its own arithmetic; it changes the result."""


@dataclass(frozen=True)
class EngineOptions:
    """The dials that reach an engine; what an engine has no use for it ignores."""

    prompt: str = ""
    """What the picture shows."""
    negative_prompt: str = ""
    """What it must not show (undistilled weights only)."""
    repair: float = 0.0
    """0 = faithful, 1 = assume heavy damage and invent."""
    sigma: float | None = None
    """Degradation sigma in [0, 1]; None = derived from `repair`."""
    seed: int = 0
    """Seed of every random draw, in [0, 2^63)."""
    steps: int = 4
    """Denoising steps, where the engine has any."""
    wrap: str = "none"
    """Seamless texture: `none`, `x`, `y` or `both`."""


@dataclass
class Step:
    """One unit of finished work."""

    stage: str
    """What was done: `encode`, `tile`, `step`, `decode`."""
    fraction: float
    """Part of the engine's own work that is done, in [0, 1]."""
    index: int = 0
    """1-based count inside the stage; 0 when there is nothing to count."""
    total: int = 0
    """How many there will be."""
    preview: torch.Tensor | None = None
    """A small [3, h, w] uint8 picture of the state so far, or None."""
    image: torch.Tensor | None = None
    """Set on the last step alone: [1, 3, H * scale, W * scale] float32, nominally in [-1, 1]."""


class Engine(Protocol):
    """Turns a picture into one that is `info.scale` times as large on each side."""

    @property
    def info(self) -> EngineInfo:
        """Name, weights and licence for the record."""
        ...

    def run(self, image: torch.Tensor, options: EngineOptions, plan: EnginePlan) -> Iterator[Step]:
        """Do the work of `plan`, one yield per tile or step; closing the generator cancels.

        Args:
            image: [1, 3, H, W] float32 in [-1, 1], sRGB-encoded.
            options: the dials.
            plan: made by `pid_core.plan` for exactly this H, W and these options.
        Yields:
            Step; the last one carries the image.
        Raises:
            ShapeMismatch: the image is not what the plan was made for.
            NotEnoughMemory: torch says that it does not fit.
        """
        ...

    def resident_bytes(self) -> int:
        """Memory that the loaded weights hold."""
        ...
