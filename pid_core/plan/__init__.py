# SPDX-License-Identifier: Apache-2.0
"""Planning without torch: sizes, tiles, and what the work will cost in seconds and bytes.

The broker answers `plan` requests from here before any worker exists; the worker runs exactly what
was planned.
"""

from pid_core.plan.costs import Coefficients, Costs, Observation
from pid_core.plan.engine import EnginePlan
from pid_core.plan.engines import (
    TRAITS,
    EngineReadiness,
    EngineTraits,
    PidFacts,
    resolve_engine,
)
from pid_core.plan.request import UpscaleRequest
from pid_core.plan.tiles import Rect, tile_cores, with_halo
from pid_core.plan.upscale import DeviceFacts, UpscalePlan, plan_upscale, smaller

__all__ = [
    "TRAITS",
    "Coefficients",
    "Costs",
    "DeviceFacts",
    "EnginePlan",
    "EngineReadiness",
    "EngineTraits",
    "Observation",
    "PidFacts",
    "Rect",
    "UpscalePlan",
    "UpscaleRequest",
    "plan_upscale",
    "resolve_engine",
    "smaller",
    "tile_cores",
    "with_halo",
]
