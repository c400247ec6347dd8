# SPDX-License-Identifier: Apache-2.0
"""What a planner has to know of each engine without loading it, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pid_core.errors import CheckpointMissing, InvalidOptions, LicenceNotAccepted
from pid_core.plan.decode import decode_windows, work_px
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
    is_windowed: bool = False
    """Whether its tiles are the windows of `plan.decode`: sizes as trained, overlap included."""
    cpu_tile_px: int = 1 << 30
    """Largest tile on a CPU: attention grows with the square, and there is no hurry for it."""

    def cores(self, width_px: int, height_px: int, tile_px: int) -> list[Rect]:
        """The tiles of one pass."""
        if self.is_windowed:
            return decode_windows(width_px, height_px, tile_px, self.overlap_px)
        if self.columns:
            return [
                Rect(one.x, 0, one.width, height_px) for one in tile_cores(width_px, 1, tile_px)
            ]
        return tile_cores(width_px, height_px, tile_px)

    def tiles(self, width_px: int, height_px: int, tile_px: int) -> list[Rect]:
        """The same with all that the engine reads around them."""
        cores = self.cores(width_px, height_px, tile_px)
        if self.is_windowed:
            return cores
        return [with_halo(core, self.overlap_px, width_px, height_px) for core in cores]

    def work_px(self, tile: Rect) -> float:
        """What a tile costs, in pixels of a small one."""
        area = tile.width * tile.height
        return work_px(area) if self.is_windowed else area

    def sides(self, device: str) -> tuple[int, ...]:
        """`tiles_px` that make sense on a kind of device."""
        if device != "cpu":
            return self.tiles_px
        return tuple(side for side in self.tiles_px if side <= self.cpu_tile_px)


TRAITS: Mapping[str, EngineTraits] = {
    traits.name: traits
    for traits in (
        EngineTraits("identity", 1, 0, (65_536,)),
        EngineTraits("compact", 4, 36, (1024, 768, 512, 256, 128, 64), columns=True, held_rows=16),
        EngineTraits(
            "pid", 4, 64, (1024, 768, 512, 256), uses_steps=True, is_windowed=True, cpu_tile_px=512
        ),
    )
}
"""Engines that exist, by name."""


@dataclass(frozen=True)
class EngineReadiness:
    """What `auto` and the refusals depend on; the daemon knows it."""

    pid_installed: bool = False
    """Whether a PiD checkpoint with everything it needs was found."""
    pid_acknowledged: bool = False
    """Whether its licence was acknowledged once."""
    has_gpu: bool = False
    """Whether the worker's device is a GPU."""


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
        ready = readiness.pid_installed and readiness.pid_acknowledged and readiness.has_gpu
        return "pid" if ready else "compact"
    if name not in TRAITS:
        raise InvalidOptions(f"There is no engine {name!r}.", hint="Engines: auto, compact, pid.")
    if name == "pid" and not readiness.pid_installed:
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
