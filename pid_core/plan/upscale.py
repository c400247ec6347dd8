# SPDX-License-Identifier: Apache-2.0
"""The plan of an upscale: what goes through the engine, in which tiles, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pid_core.errors import InvalidOptions, NotEnoughMemory
from pid_core.plan.costs import FINISH_S_PER_PX, HOST_BYTES_PER_PX, Costs
from pid_core.plan.engine import EnginePlan
from pid_core.plan.engines import EngineReadiness, EngineTraits, resolve_engine, traits_of
from pid_core.plan.notices import notices_of
from pid_core.plan.request import ENHANCE, UpscaleRequest
from pid_core.plan.routes import AREA, NATIVE, SHRINK, TWICE
from pid_core.plan.tiles import Rect

MAX_SIDE_PX = 65_536
"""A picture's side, in or out."""
MAX_PIXELS = 1 << 30
"""A picture's area, in or out."""


@dataclass(frozen=True)
class DeviceFacts:
    """What the plan depends on besides the request; the daemon fills it in."""

    device: str = "cpu"
    """Kind of device: `cpu`, `cuda`, `mps`."""
    dtype: str = "float32"
    """Arithmetic of the networks: `float32` or `bfloat16`."""
    free_bytes: int = 0
    """Memory that the device has now, what loaded models hold included; 0 = not known."""
    budget_bytes: int = 0
    """Memory that the user allows; 0 = no limit."""
    readiness: EngineReadiness = EngineReadiness()
    """What `auto` depends on."""
    costs: Costs = field(default_factory=Costs)
    """Coefficients, refined or not."""

    @property
    def limit_bytes(self) -> int:
        """What the work may take; 0 = not known."""
        limits = [value for value in (self.free_bytes, self.budget_bytes) if value > 0]
        return min(limits) if limits else 0


@dataclass(frozen=True)
class UpscalePlan:
    """How one picture becomes the answer. The same plan, seed and device give the same bytes."""

    source_width_px: int
    """Width of the picture that comes in, context included."""
    source_height_px: int
    """Height of the picture that comes in."""
    region: Rect
    """Part of it that is answered."""
    result_width_px: int
    """Width of the answer."""
    result_height_px: int
    """Height of the answer."""
    engine: str
    """Engine that does the work, never `auto`."""
    route: str
    """`native`: the engine's factor is the answer's; `shrink`: the source is made smaller first;
    `area`: the engine's output is averaged down; `twice`: two passes; `resample`: the engine's
    output is resampled."""
    passes: tuple[EnginePlan, ...]
    """What the engine executes, in order."""
    expected_s: float = 0.0
    """Seconds, with the models loaded."""
    expected_bytes: int = 0
    """Peak memory beyond the resident weights."""
    weights_bytes: int = 0
    """Memory of the resident weights; 0 = too little to count."""
    notices: tuple[str, ...] = ()
    """Sentences that a person should read before the run."""

    @property
    def tiles(self) -> int:
        """Tiles of all passes."""
        return sum(one.tiles for one in self.passes)

    def to_dict(self) -> dict[str, Any]:
        """Plain maps, lists, numbers and texts."""
        values = asdict(self)
        values["passes"] = list(values["passes"])
        values["notices"] = list(values["notices"])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UpscalePlan:
        """The plan that `to_dict` was called on."""
        known = dict(values)
        known["region"] = Rect(**known["region"])
        known["passes"] = tuple(EnginePlan(**one) for one in known["passes"])
        known["notices"] = tuple(known["notices"])
        return cls(**known)


def plan_upscale(
    width_px: int,
    height_px: int,
    request: UpscaleRequest,
    facts: DeviceFacts | None = None,
    *,
    channels: str = "rgb",
    route: str = "",
) -> UpscalePlan:
    """Plan an upscale without doing any of it.

    Args:
        width_px: width of the picture that comes in, context included.
        height_px: its height.
        request: what is asked for.
        facts: device, memory, readiness of the engines, coefficients.
        channels: `gray`, `gray-alpha`, `rgb` or `rgba`.
        route: one of ROUTES, for benchmarks; empty = the one that was measured to be best.
    Raises:
        InvalidOptions: sizes or options that make no sense or are too large.
        NotEnoughMemory: not even the smallest tiles fit.
        CheckpointMissing, LicenceNotAccepted: as `resolve_engine`.
    """
    facts = facts or DeviceFacts()
    _refuse_too_large(width_px, height_px, "The picture")
    region = request.answered(width_px, height_px)
    result = request.result_size(width_px, height_px)
    _refuse_too_large(*result, "The result")
    traits = traits_of(resolve_engine(request.engine, facts.readiness), facts.readiness)
    route = route or _route(traits, request, region, result)
    # Sides of the whole picture, context included, at the scale of the answer.
    whole = (width_px * result[0] / region.width, height_px * result[1] / region.height)
    inputs = _inputs((width_px, height_px), whole, route, request, traits)
    host_bytes = round(result[0] * result[1] * HOST_BYTES_PER_PX)
    if traits.name == "identity" and result == (region.width, region.height):
        host_bytes = 0
    finish_s = 0.0 if host_bytes == 0 else result[0] * result[1] * FINISH_S_PER_PX
    # On a GPU the surroundings live in the host's memory.
    around = host_bytes if facts.device == "cpu" else 0
    evaluations = _evaluations(traits, request, facts)
    passes = tuple(
        _fitting(
            EnginePlan(
                engine=traits.name,
                width_px=width,
                height_px=height,
                scale=traits.scale,
                tile_px=0,
                overlap_px=traits.overlap_px,
                wrap=request.wrap,
                dtype=facts.dtype,
                steps=evaluations,
            ),
            traits,
            facts,
            around,
        )
        for width, height in inputs
    )
    return UpscalePlan(
        source_width_px=width_px,
        source_height_px=height_px,
        region=region,
        result_width_px=result[0],
        result_height_px=result[1],
        engine=traits.name,
        route=route,
        passes=passes,
        expected_s=sum(one.expected_s for one in passes) + finish_s,
        expected_bytes=max(one.expected_bytes for one in passes) + around,
        weights_bytes=_weights_bytes(traits, facts),
        notices=tuple(notices_of(request, region, result, route, traits, facts.readiness)),
    )


def smaller(plan: UpscalePlan, facts: DeviceFacts) -> UpscalePlan | None:
    """The same work in the next smaller tiles, for a retry after the memory ran out; None = there
    are none."""
    traits = traits_of(plan.engine, facts.readiness)
    largest = max(one.tile_px for one in plan.passes)
    below = max((side for side in traits.tiles_px if side < largest), default=0)
    if not below:
        return None
    passes = tuple(_in_tiles(one, traits, facts, min(one.tile_px, below)) for one in plan.passes)
    around = plan.expected_bytes - max(one.expected_bytes for one in plan.passes)
    note = f"The memory ran out with tiles of {largest} px; repeated with tiles of {below} px."
    return replace(
        plan,
        passes=passes,
        expected_bytes=max(one.expected_bytes for one in passes) + around,
        notices=(*plan.notices, note),
    )


def _refuse_too_large(width_px: int, height_px: int, what: str) -> None:
    if width_px < 1 or height_px < 1:
        raise InvalidOptions(f"{what} would have {width_px} x {height_px} px.")
    if max(width_px, height_px) > MAX_SIDE_PX:
        raise InvalidOptions(
            f"{what} would have {width_px} x {height_px} px; {MAX_SIDE_PX} is the limit.",
            hint="Choose a smaller size, or work on a part of the picture.",
        )
    if width_px * height_px > MAX_PIXELS:
        raise InvalidOptions(
            f"{what} would have {width_px} x {height_px} px, that is "
            f"{width_px * height_px / 1e6:.0f} megapixels; {MAX_PIXELS / 1e6:.0f} are the limit.",
            hint="Choose a smaller size, or work on a part of the picture.",
        )


def _route(
    traits: EngineTraits, request: UpscaleRequest, region: Rect, result: tuple[int, int]
) -> str:
    """Choose how the engine's fixed factor meets the factor that is wanted.

    Between 1x and 4x the whole picture goes through the engine and is averaged down; above 4x a
    second pass starts from the first one's output, averaged to a quarter of the answer. Measured by
    `benchmarks/fidelity.py --sizes` with `compact` on 10 photographs, PSNR-Y over Lanczos in dB,
    clean / noise of sigma 5 / JPEG 60:

    - 1.5x: shrink -5.8 / -3.8 / -3.1, area +1.2 / +1.9 / +0.7
    - 2x: shrink -3.1 / -1.9 / -1.3, area +1.1 / +1.6 / +0.6
    - 3x: shrink -0.9 / -0.3 / 0.0, area +0.8 / +1.0 / +0.5
    - 6x: resample +0.73 / +0.75 / +0.47, twice +0.70 / +0.76 / +0.54
    """
    factor = max(result[0] / region.width, result[1] / region.height)
    if traits.scale == 1 or factor == traits.scale:
        return NATIVE
    if request.kind == ENHANCE or factor < traits.scale:
        return AREA
    return TWICE


def _inputs(
    size: tuple[int, int],
    whole: tuple[float, float],
    route: str,
    request: UpscaleRequest,
    traits: EngineTraits,
) -> list[tuple[int, int]]:
    """Sizes of the engine's inputs, one for each pass, without wrapped context."""
    wraps = (request.wraps_x, request.wraps_y)
    quarter = tuple(
        # An even side lets half a roll of a seamless texture stay whole pixels.
        2 * math.ceil(side / traits.scale / 2) if wrap else math.ceil(side / traits.scale)
        for side, wrap in zip(whole, wraps, strict=True)
    )
    if route == SHRINK:
        return [(min(size[0], quarter[0]), min(size[1], quarter[1]))]
    if route == TWICE:
        return [size, (max(size[0], quarter[0]), max(size[1], quarter[1]))]
    return [size]


def _fitting(
    plan: EnginePlan, traits: EngineTraits, facts: DeviceFacts, around_bytes: int
) -> EnginePlan:
    """The plan in the largest tiles that the memory has room for beside the weights.

    Raises:
        NotEnoughMemory: not even the smallest fit.
    """
    weights_bytes, needed_bytes = _weights_bytes(traits, facts), 0
    for tile_px in traits.sides(facts.device):
        plan = _in_tiles(plan, traits, facts, tile_px)
        needed_bytes = plan.expected_bytes + around_bytes + weights_bytes
        if not facts.limit_bytes or needed_bytes <= facts.limit_bytes:
            return plan
    raise NotEnoughMemory(
        f"{plan.width_px} x {plan.height_px} px through {traits.name} need "
        f"{needed_bytes / 2**30:.1f} GiB even in the smallest tiles; "
        f"{facts.limit_bytes / 2**30:.1f} GiB are there.",
        hint="Choose a smaller size, work on a part of the picture, or raise the memory budget.",
    )


def _in_tiles(
    plan: EnginePlan, traits: EngineTraits, facts: DeviceFacts, tile_px: int
) -> EnginePlan:
    """The plan in tiles of that size, and what it costs."""
    costs = facts.costs.of(traits.name, plan.dtype, facts.device)
    tiles = traits.tiles(plan.width_px, plan.height_px, tile_px, plan.wrap)
    work = sum(costs.work_px(one.width * one.height) for one in tiles)
    held = max(one.width * min(one.height, traits.held_rows) for one in tiles)
    return replace(
        plan,
        tile_px=tile_px,
        tiles=len(tiles),
        expected_s=costs.fixed_s + costs.s_per_px * work * plan.steps,
        expected_bytes=round(
            costs.fixed_bytes
            + costs.bytes_per_tile_px * held
            + costs.bytes_per_px * plan.width_px * plan.height_px * traits.scale**2
        ),
    )


def _evaluations(traits: EngineTraits, request: UpscaleRequest, facts: DeviceFacts) -> int:
    """Calls of the network for one tile."""
    if not traits.uses_steps:
        return 1
    pid = facts.readiness.pid
    return request.steps if pid is None else pid.evaluations(request.steps)


def _weights_bytes(traits: EngineTraits, facts: DeviceFacts) -> int:
    """Memory that is held beside the work; that of the built-in network is not worth counting."""
    pid = facts.readiness.pid
    return pid.resident_bytes(facts.dtype) if traits.name == "pid" and pid is not None else 0
