# SPDX-License-Identifier: Apache-2.0
"""What a planner has to know of each engine without loading it, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pid_core.errors import CheckpointMissing, InvalidOptions, LicenceNotAccepted
from pid_core.inspect.backbones import backbone
from pid_core.inspect.generations import TEACHER_STEPS, variant
from pid_core.plan.decode import WindowLimits, layout_of, rects, window_limits
from pid_core.plan.tiles import Rect, tile_cores, with_halo


@dataclass(frozen=True)
class EngineTraits:
    """An engine as the planner sees it. Every engine closes the edges of a seamless texture
    (`wrap`) itself."""

    name: str
    """Stable identifier."""
    scale: int
    """Pixels out per pixel in, along one side."""
    overlap_px: int
    """Halo or blend width around a tile's core, in input pixels."""
    tiles_px: tuple[int, ...]
    """Sides that a tile's core may have, the preferred one first, then smaller ones for little
    memory."""
    columns: bool = False
    """Whether a tile reaches from the top to the bottom and only its width is bounded."""
    held_rows: int = 1 << 30
    """Rows of a tile that the engine's memory grows with; a streaming engine holds a few only."""
    uses_steps: bool = False
    """Whether it denoises in steps."""
    windows: WindowLimits | None = None
    """What one window may be, for an engine whose tiles are the windows of `plan.decode`."""
    cpu_tile_px: int = 1 << 30
    """Largest tile on a CPU: attention grows with the square, and there is no hurry for it."""

    def tiles(self, width_px: int, height_px: int, tile_px: int, wrap: str = "none") -> list[Rect]:
        """The tiles of one pass with all that the engine reads around them."""
        if self.windows is not None:
            layout = layout_of(
                width_px,
                height_px,
                self.windows,
                tile_px=tile_px,
                overlap_px=self.overlap_px,
                wrap=wrap,
            )
            return rects(layout)
        cores = self.cores(width_px, height_px, tile_px)
        return [with_halo(core, self.overlap_px, width_px, height_px) for core in cores]

    def cores(self, width_px: int, height_px: int, tile_px: int) -> list[Rect]:
        """The same without their halos, for an engine whose tiles have any."""
        if self.columns:
            return [
                Rect(one.x, 0, one.width, height_px) for one in tile_cores(width_px, 1, tile_px)
            ]
        return tile_cores(width_px, height_px, tile_px)

    def sides(self, device: str) -> tuple[int, ...]:
        """`tiles_px` that make sense on a kind of device."""
        if device != "cpu":
            return self.tiles_px
        return tuple(side for side in self.tiles_px if side <= self.cpu_tile_px)


@dataclass(frozen=True)
class PidFacts:
    """The PiD files that a run would use, as the planner sees them."""

    family: str
    """Latent family."""
    variant: str
    """`2k`, `2kto4k` or `2kto4k_v1pt5`."""
    is_distilled: bool = True
    """A student of a few steps rather than a teacher with guidance."""
    is_quantised: bool = False
    """Whether the network keeps its size in memory whatever the arithmetic."""
    network_bytes: int = 0
    """Size of the network's file, bfloat16 unless quantised."""
    encoder_bytes: int = 0
    """Memory of the VAE's encoder."""

    @property
    def windows(self) -> WindowLimits:
        """What one window may be."""
        return window_limits(variant(self.variant), backbone(self.family))

    def resident_bytes(self, dtype: str) -> int:
        """Memory of the loaded weights in that arithmetic."""
        widened = dtype == "float32" and not self.is_quantised
        return self.network_bytes * (2 if widened else 1) + self.encoder_bytes

    def evaluations(self, steps: int) -> int:
        """Calls of the network for one window, where a student would take that many steps."""
        return steps if self.is_distilled else 2 * TEACHER_STEPS


TRAITS: Mapping[str, EngineTraits] = {
    traits.name: traits
    for traits in (
        EngineTraits("identity", 1, 0, (65_536,)),
        EngineTraits("compact", 4, 43, (1024, 768, 512, 256, 128, 64), columns=True, held_rows=16),
        EngineTraits(
            "pid",
            4,
            64,
            (1024, 768, 512, 256),
            uses_steps=True,
            windows=PidFacts("flux", "2kto4k_v1pt5").windows,
            cpu_tile_px=512,
        ),
    )
}
"""Engines that exist, by name; see `traits_of` for those of certain weights."""


@dataclass(frozen=True)
class EngineReadiness:
    """What `auto`, the refusals and the plan of an engine depend on; the daemon knows it."""

    pid: PidFacts | None = None
    """The PiD files that would be used; None = they are not all there."""
    pid_acknowledged: bool = False
    """Whether their licence was acknowledged once."""
    has_gpu: bool = False
    """Whether the worker's device is a GPU."""


def traits_of(name: str, readiness: EngineReadiness) -> EngineTraits:
    """An existing engine with the weights that it would use."""
    traits = TRAITS[name]
    if name != "pid" or readiness.pid is None:
        return traits
    return replace(traits, windows=readiness.pid.windows)


def resolve_engine(name: str, readiness: EngineReadiness) -> str:
    """Turn the engine that was asked for into one that exists.

    `auto` is `pid` when its weights are installed, a GPU is there and the licence was acknowledged;
    otherwise `compact`.

    Raises:
        InvalidOptions: no engine has that name.
        CheckpointMissing: `pid` without weights.
        LicenceNotAccepted: `pid` before its licence was acknowledged.
    """
    if name == "auto":
        ready = readiness.pid is not None and readiness.pid_acknowledged and readiness.has_gpu
        return "pid" if ready else "compact"
    if name not in TRAITS:
        raise InvalidOptions(f"There is no engine {name!r}.", hint="Engines: auto, compact, pid.")
    if name == "pid" and readiness.pid is None:
        raise CheckpointMissing(
            "No PiD weights were found.",
            hint="`pid models` lists the folders that are searched; or choose the engine compact.",
        )
    if name == "pid" and not readiness.pid_acknowledged:
        raise LicenceNotAccepted(
            "The licence of NVIDIA's PiD weights (non-commercial research and evaluation) has not "
            "been acknowledged yet.",
            hint="Acknowledge it once, or choose the engine compact, which is free for any use.",
        )
    return name
