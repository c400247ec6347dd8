# SPDX-License-Identifier: Apache-2.0
"""Sentences that a person should read before a run."""

from __future__ import annotations

from pid_core.plan.engines import EngineReadiness, EngineTraits
from pid_core.plan.request import AUTO, UpscaleRequest
from pid_core.plan.routes import SHRINK, TWICE
from pid_core.plan.tiles import Rect


def notices_of(
    request: UpscaleRequest,
    region: Rect,
    result: tuple[int, int],
    route: str,
    traits: EngineTraits,
    readiness: EngineReadiness,
) -> list[str]:
    """What is worth a sentence about a plan.

    Args:
        request: what is asked for.
        region: the part that is answered, in source pixels.
        result: width and height of the answer.
        route: how the engine gets there.
        traits: the engine.
        readiness: what else could have been used.
    """
    notices: list[str] = []
    is_ready = readiness.pid is not None and readiness.has_gpu
    if request.engine == AUTO and is_ready and not readiness.pid_acknowledged:
        notices.append(
            "PiD could do this; the engine pid asks for the licence of its weights once."
        )
    if result[0] < region.width or result[1] < region.height:
        notices.append(
            f"The result ({result[0]} x {result[1]} px) is smaller than the source "
            f"({region.width} x {region.height} px)."
        )
    stretch = (result[0] / region.width) / (result[1] / region.height)
    exact = bool(request.width) and not (
        abs(result[0] - region.width * result[1] / region.height) <= 1
        or abs(result[1] - region.height * result[0] / region.width) <= 1
    )
    if exact:
        notices.append(
            f"The exact size changes the aspect ratio: {'wider' if stretch > 1 else 'taller'} by "
            f"{abs(max(stretch, 1 / stretch) - 1) * 100:.0f} %."
        )
    if route == SHRINK:
        notices.append("The source is made smaller first, then decoded at 4x.")
    if route == TWICE:
        notices.append("More than 4x takes two passes.")
    if traits.scale == 1 and traits.name == "identity" and result != (region.width, region.height):
        notices.append("The identity engine only resamples; it adds no detail.")
    return notices
