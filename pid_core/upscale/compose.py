# SPDX-License-Identifier: Apache-2.0
"""From what the engine made to the answer, in bands of rows.

The answer is the source at full depth, resampled, plus what the engine adds: its output minus the
same resampling of its input. For a plain sRGB picture that is the engine's output itself. What the
engine never saw (values above 1, colours outside sRGB, the last of 16 bits) is in the source's
part. The colour lock then gives the low band back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pid_core.pixels.alpha import enlarged
from pid_core.pixels.curves import to_linear, to_perceptual
from pid_core.pixels.lock import apply_gain, drift, lock_gain, lock_radius_px
from pid_core.pixels.picture import Picture
from pid_core.pixels.resample import Axis, resample
from pid_core.plan import UpscalePlan, UpscaleRequest
from pid_core.upscale.source import Source

BAND_PX = 1 << 18
"""Result pixels of one band: its planes stay within the processor's caches' reach."""
CACHE_BYTES = 1 << 29
"""Linear planes that are kept between the two looks at the result; beyond, they are made twice."""


class Composer:
    """Writes the answer of one upscale.

    Args:
        source: the picture, prepared.
        output: [3, H', W'] what the engine made of it, sRGB in [0, 1]; None = nothing was added.
        request: what is asked for.
        plan: sizes and region.
    """

    def __init__(
        self, source: Source, output: Tensor | None, request: UpscaleRequest, plan: UpscalePlan
    ) -> None:
        device = source.working.device if output is None else output.device
        self._source, self._output, self._plan = source.on(device), output, plan
        self._wrap = (request.wraps_x, request.wraps_y)
        self._locks = request.colour_lock and output is not None
        self._width, self._height = plan.result_width_px, plan.result_height_px
        part = plan.region
        self._grid = (min(part.width, self._width), min(part.height, self._height))
        self._radius_px = lock_radius_px(request.repair)
        self._radius = (
            self._radius_px * self._grid[0] / part.width,
            self._radius_px * self._grid[1] / part.height,
        )
        self._whole = (part.width, part.height) == (plan.source_width_px, plan.source_height_px)
        self._cache: dict[int, Tensor] = {}

    def bands(self) -> list[tuple[int, int]]:
        """First row and first row behind, top to bottom."""
        rows = max(1, BAND_PX // self._width)
        return [(top, min(self._height, top + rows)) for top in range(0, self._height, rows)]

    def write(
        self, answer: Picture, coverage: Tensor | None
    ) -> Iterator[tuple[float, dict[str, Any]]]:
        """Fill the answer.

        Args:
            answer: blank, of the answer's size.
            coverage: [h, w] of the source's size in [0, 1], multiplied into alpha; None = no mask.
        Yields:
            Part done in [0, 1], and what goes into the record (complete at the end).
        """
        bands = self.bands()
        work = len(bands) * (2 if self._locks else 1)
        source = self._source_on_grid()
        gain, before = None, None
        if self._locks:
            columns: list[Tensor] = []
            for i, (top, bottom) in enumerate(bands):
                linear = self._linear(top, bottom, keep=True)
                columns.append(self._averaged_columns(linear.clamp(0, 1)))
                yield (i + 1) / work, {}
            average = self._averaged_rows(columns)
            before = self._drift(source, average)
            gain = lock_gain(source, average, self._radius, self._edges())
        alpha = self._alpha(coverage) if answer.format.has_alpha else None
        columns = []
        for i, (top, bottom) in enumerate(bands):
            colours = self._finished(top, bottom, gain, columns, answer.format.is_float)
            part = None if alpha is None else alpha[top:bottom]
            if part is not None and self._source.hidden is not None:
                hidden = self._resampled(self._source.hidden, top, bottom)
                colours = torch.where(part == 0, hidden, colours)
            answer.write(top, self._source.space.to_native(colours), part)
            yield (work - len(bands) + i + 1) / work, {}
        after = self._drift(source, self._averaged_rows(columns))
        yield 1.0, self._record(before, after)

    def _finished(
        self, top: int, bottom: int, gain: Tensor | None, columns: list[Tensor], is_float: bool
    ) -> Tensor:
        """Working planes of some rows, locked; their average goes to `columns`."""
        if gain is None:
            working = self._working(top, bottom)
            columns.append(self._averaged_columns(to_linear(working.clamp(0, 1))))
            return working
        linear = self._cache.pop(top, None)
        if linear is None:
            linear = self._linear(top, bottom)
        linear = apply_gain(linear, self._spread(gain, top, bottom))
        bounded = linear.clamp(0, 1)
        columns.append(self._averaged_columns(bounded))
        return to_perceptual(linear if is_float else bounded)

    def _working(self, top: int, bottom: int) -> Tensor:
        source = self._source
        if self._output is None:
            return self._resampled(source.working, top, bottom)
        made = self._resampled(self._output, top, bottom).clamp(0, 1)
        if source.is_plain:
            return source.space.from_engine(made)
        base = self._resampled(source.working, top, bottom)
        seen = self._resampled(source.engine, top, bottom)
        return base + source.space.from_engine(made) - source.space.from_engine(seen)

    def _linear(self, top: int, bottom: int, keep: bool = False) -> Tensor:
        linear = to_linear(self._working(top, bottom))
        if keep and self._width * self._height * linear.shape[0] * 4 <= CACHE_BYTES:
            self._cache[top] = linear
        return linear

    def _resampled(self, planes: Tensor, top: int, bottom: int) -> Tensor:
        x, y = self.axes(planes.shape[2], planes.shape[1])
        return resample(planes, x, y, top=top, bottom=bottom)

    def axes(self, width_px: int, height_px: int) -> tuple[Axis, Axis]:
        """How planes of the whole picture, in any size, map to the answer."""
        plan, part = self._plan, self._plan.region
        across, down = width_px / plan.source_width_px, height_px / plan.source_height_px
        return (
            Axis(width_px, self._width, part.x * across, part.width * across, self._wrap[0]),
            Axis(height_px, self._height, part.y * down, part.height * down, self._wrap[1]),
        )

    def _alpha(self, coverage: Tensor | None) -> Tensor | None:
        x, y = self.axes(self._plan.source_width_px, self._plan.source_height_px)
        alpha = self._source.alpha
        own = None if alpha is None else enlarged(alpha, x, y)
        faded = None
        if coverage is not None:
            plane = coverage.to(self._source.working.device)[None]
            faded = resample(plane, x, y)[0].clamp(0, 1)
        if own is None or faded is None:
            return faded if own is None else own
        return own.mul_(faded)

    def _source_on_grid(self) -> Tensor:
        """The source's light within 0..1: what lies outside the engine never saw and could not
        bend."""
        plan, part = self._plan, self._plan.region
        x = Axis(plan.source_width_px, self._grid[0], part.x, part.width)
        y = Axis(plan.source_height_px, self._grid[1], part.y, part.height)
        working = self._source.working.clamp(0, 1)
        return resample(to_linear(working), x, y, kernel="area")

    def _averaged_columns(self, linear: Tensor) -> Tensor:
        x = Axis(self._width, self._grid[0])
        rows = linear.shape[1]
        return resample(linear, x, Axis(rows, rows), kernel="area")

    def _averaged_rows(self, columns: list[Tensor]) -> Tensor:
        planes = torch.cat(columns, 1)
        x = Axis(self._grid[0], self._grid[0])
        return resample(planes, x, Axis(self._height, self._grid[1]), kernel="area")

    def _spread(self, gain: Tensor, top: int, bottom: int) -> Tensor:
        wrap = self._edges()
        x = Axis(self._grid[0], self._width, wrap=wrap[0])
        y = Axis(self._grid[1], self._height, wrap=wrap[1])
        return resample(gain, x, y, top=top, bottom=bottom)

    def _edges(self) -> tuple[bool, bool]:
        return self._wrap if self._whole else (False, False)

    def _drift(self, source: Tensor, result: Tensor) -> dict[str, float]:
        weight = None
        if self._source.alpha is not None:
            plan, part = self._plan, self._plan.region
            x = Axis(plan.source_width_px, self._grid[0], part.x, part.width)
            y = Axis(plan.source_height_px, self._grid[1], part.y, part.height)
            weight = resample(self._source.alpha[None], x, y, kernel="area")[0]
        first, second = (
            to_linear(self._source.space.to_engine(to_perceptual(planes)))
            for planes in (source, result)
        )
        return drift(first, second, self._radius, self._edges(), weight)

    def _record(self, before: dict[str, float] | None, after: dict[str, float]) -> dict[str, Any]:
        record: dict[str, Any] = {
            "colour_lock": self._locks,
            "lock_radius_px": round(self._radius_px, 3),
            "delta_e": after,
        }
        if before is not None:
            record["delta_e_unlocked"] = before
        return record
