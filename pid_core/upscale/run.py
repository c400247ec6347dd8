# SPDX-License-Identifier: Apache-2.0
"""The course of an upscale: convert, engine, finish. A generator, so that whoever runs it can show
and stop it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pid_core.engines.base import Engine, EngineOptions, Step
from pid_core.errors import InvalidImage, ShapeMismatch
from pid_core.pixels.mask import feathered
from pid_core.pixels.picture import Picture, blank
from pid_core.pixels.resample import Axis, resample
from pid_core.plan import UpscalePlan, UpscaleRequest
from pid_core.plan.costs import FINISH_S_PER_PX
from pid_core.upscale.compose import Composer
from pid_core.upscale.source import prepare

_CONVERT = 0.02
"""Part of the whole that reading the picture counts for."""


@dataclass
class UpscaleResult:
    """The answer."""

    picture: Picture
    """In the source's own channels, depth, order and colour; with alpha added when there was a
    mask."""
    record: dict[str, Any] = field(default_factory=dict)
    """Plain values: `geometry`, `delta_e` (median, p99), `colour_lock`, `notices`."""


@dataclass
class Progress:
    """How far the work is."""

    stage: str
    """`convert`, one of the engine's stages, or `finish`."""
    fraction: float
    """Part of the whole that is done, in [0, 1]; never falls."""
    index: int = 0
    """1-based count inside the stage; 0 when there is nothing to count."""
    total: int = 0
    """How many there will be."""
    preview: tuple[int, int, bytes] | None = None
    """Width, height and RGB bytes of a small picture of the state so far."""
    result: UpscaleResult | None = None
    """Set on the last one alone."""


def engine_options(request: UpscaleRequest) -> EngineOptions:
    """The dials of a request that reach an engine."""
    return EngineOptions(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        repair=request.repair,
        sigma=request.sigma,
        seed=request.seed,
        steps=request.steps,
        wrap=request.wrap,
    )


def upscale(
    picture: Picture,
    mask: bytes | np.ndarray | None,
    request: UpscaleRequest,
    plan: UpscalePlan,
    engine: Engine,
    options: EngineOptions | None = None,
) -> Iterator[Progress]:
    """Carry out a plan.

    Args:
        picture: the source, context included.
        mask: width x height bytes of coverage, 0 to 255; None = no mask.
        request: what is asked for.
        plan: made for this picture and request.
        engine: the one that the plan names.
        options: None = those of the request.
    Yields:
        Progress; the last one carries the result. Closing the generator cancels.
    Raises:
        ShapeMismatch: the plan is for another picture or another engine.
        InvalidImage: the mask has another size than the picture.
    """
    _check(picture, request, plan, engine)
    coverage = _coverage(mask, picture, request)
    yield Progress("convert", 0.0)
    if engine.info.scale == 1 and _is_unchanged(plan):
        yield Progress("finish", 1.0, result=_unchanged(picture, coverage, plan))
        return
    with torch.inference_mode():
        source = prepare(picture)
    yield Progress("convert", _CONVERT)
    engine_share = _engine_share(plan)
    output = None
    if engine.info.name != "identity":
        for step in _passes(source.engine, request, plan, engine, options):
            if step.image is not None:
                with torch.inference_mode():  # the engine's image may have been made in it
                    output = step.image[0].add_(1).mul_(0.5)
            yield Progress(
                step.stage,
                _CONVERT + engine_share * step.fraction,
                step.index,
                step.total,
                _preview(step.preview),
            )
    fmt = picture.format
    answer = blank(
        replace(
            fmt,
            width=plan.result_width_px,
            height=plan.result_height_px,
            channels=fmt.with_alpha if coverage is not None else fmt.channels,
        )
    )
    composer = Composer(source, output, request, plan)
    start = _CONVERT + engine_share
    record: dict[str, Any] = {}
    finishing = composer.write(answer, coverage)
    while True:
        with torch.inference_mode():
            part = next(finishing, None)
        if part is None:
            break
        fraction, record = part
        yield Progress("finish", start + (1 - start) * fraction * 0.999)
    notices = [*plan.notices, *picture.notices, *source.notices]
    answer.notices = notices
    record = {"geometry": _geometry(plan), **record, "notices": notices}
    yield Progress("finish", 1.0, result=UpscaleResult(answer, record))


def _check(picture: Picture, request: UpscaleRequest, plan: UpscalePlan, engine: Engine) -> None:
    size = (picture.format.width, picture.format.height)
    planned = (plan.source_width_px, plan.source_height_px)
    if size != planned:
        raise ShapeMismatch(f"The picture has {size} px, the plan is for {planned}.")
    if engine.info.name != plan.engine:
        raise ShapeMismatch(f"The engine is {engine.info.name}, the plan is for {plan.engine}.")


def _coverage(
    mask: bytes | np.ndarray | None, picture: Picture, request: UpscaleRequest
) -> Tensor | None:
    if mask is None:
        if request.has_mask:
            raise InvalidImage("The request speaks of a mask, and none has come.")
        return None
    fmt = picture.format
    values = np.frombuffer(mask, np.uint8)
    if values.size != fmt.width * fmt.height:
        raise InvalidImage(
            f"The mask has {values.size} bytes; a picture of {fmt.width} x {fmt.height} px needs "
            f"{fmt.width * fmt.height}."
        )
    plane = torch.from_numpy(values.astype(np.float32) / 255).reshape(fmt.height, fmt.width)
    return feathered(plane, request.feather)


def _is_unchanged(plan: UpscalePlan) -> bool:
    return (plan.result_width_px, plan.result_height_px) == (plan.region.width, plan.region.height)


def _unchanged(picture: Picture, coverage: Tensor | None, plan: UpscalePlan) -> UpscaleResult:
    """The identity at the source's size answers with the source's own bytes."""
    part = plan.region
    answer = picture.cropped(part.x, part.y, part.width, part.height)
    if coverage is not None:
        fmt = replace(answer.format, channels=answer.format.with_alpha)
        masked = blank(fmt)
        faded = coverage[part.y : part.bottom, part.x : part.right]
        own = answer.alpha()
        masked.write(0, answer.colours(), faded if own is None else faded * own)
        masked.samples[..., : fmt.num_colours] = answer.samples[..., : fmt.num_colours]
        answer = masked
    notices = [*plan.notices, *picture.notices]
    record = {
        "geometry": _geometry(plan),
        "colour_lock": False,
        "delta_e": {"median": 0.0, "p99": 0.0},
        "notices": notices,
    }
    return UpscaleResult(answer, record)


def _passes(
    image: Tensor,
    request: UpscaleRequest,
    plan: UpscalePlan,
    engine: Engine,
    options: EngineOptions | None,
) -> Iterator[Step]:
    """Run the engine as often as planned; fractions are of all passes, the last step has the
    image."""
    options = options or engine_options(request)
    costs = [max(one.expected_s, 1e-9) for one in plan.passes]
    done, total = 0.0, sum(costs)
    for i, one in enumerate(plan.passes):
        x = Axis(image.shape[2], one.width_px, wrap=request.wraps_x)
        y = Axis(image.shape[1], one.height_px, wrap=request.wraps_y)
        with torch.inference_mode():
            sized = resample(image, x, y).clamp(0, 1).mul(2).sub_(1)[None].contiguous()
        made, last = None, i == len(plan.passes) - 1
        for step in engine.run(sized, options, one):
            made = step.image
            share = (done + costs[i] * step.fraction) / total
            yield replace(step, fraction=share, image=made if last else None)
        if made is None:
            raise ShapeMismatch(f"The engine {engine.info.name} ended without an image.")
        expected = (one.height_px * one.scale, one.width_px * one.scale)
        if tuple(made.shape[2:]) != expected:
            raise ShapeMismatch(f"The engine made {list(made.shape)}; {expected} was planned.")
        done += costs[i]
        if not last:
            with torch.inference_mode():
                image = made[0].add(1).mul_(0.5)


def _engine_share(plan: UpscalePlan) -> float:
    finish_s = plan.result_width_px * plan.result_height_px * FINISH_S_PER_PX
    total_s = max(plan.expected_s, finish_s, 1e-9)
    return (1 - _CONVERT) * min(max(1 - finish_s / total_s, 0.1), 0.98)


def _preview(planes: Tensor | None) -> tuple[int, int, bytes] | None:
    if planes is None:
        return None
    pixels = planes.permute(1, 2, 0).contiguous().numpy(force=True)
    return pixels.shape[1], pixels.shape[0], pixels.tobytes()


def _geometry(plan: UpscalePlan) -> dict[str, Any]:
    part = plan.region
    return {
        "source": [plan.source_width_px, plan.source_height_px],
        "region": [part.x, part.y, part.width, part.height],
        "result": [plan.result_width_px, plan.result_height_px],
        "route": plan.route,
        "passes": [[one.width_px, one.height_px, one.scale] for one in plan.passes],
        "tiles": plan.tiles,
    }
