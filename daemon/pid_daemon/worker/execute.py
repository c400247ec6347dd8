# SPDX-License-Identifier: Apache-2.0
"""One job, from the pixels in its folder to the result in its folder and the record."""

from __future__ import annotations

import errno
import logging
import mmap
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from pid_core.engines.base import Engine
from pid_core.errors import NotEnoughMemory
from pid_core.pixels import Picture, PictureFormat, pack, unpack
from pid_core.plan import DeviceFacts, UpscalePlan, UpscaleRequest, plan_upscale, smaller
from pid_core.plan.tiles import Rect
from pid_core.upscale import Progress, UpscaleResult, upscale
from pid_daemon import link
from pid_daemon.worker.cache import Key, ModelCache
from pid_daemon.worker.device import give_back, is_out_of_memory
from pid_protocol.errors import Cancelled, InternalError, OutOfMemory, SpoolFull
from pid_protocol.headers import Message

log = logging.getLogger(__name__)

REPORT_EVERY_S = 0.1
"""Pause between two reports of the same stage."""
PREVIEW_EVERY_S = 0.5
WRITE_BYTES = 16 << 20
"""Written at once, so that a cancel is seen between."""


@dataclass
class Surroundings:
    """What a job runs in."""

    device: str
    """As torch names it."""
    notice: str
    """A sentence when it is not the device that was asked for."""
    facts: Callable[[], DeviceFacts]
    """What the plan depends on, now."""
    cache: ModelCache[Engine]
    tell: Callable[[Message], None]
    """Reports to the broker."""
    is_stopped: Callable[[], bool]
    """Whether the job was cancelled."""


def execute(run: link.Run, around: Surroundings) -> link.Done:
    """Carry out one job.

    Returns:
        The report; the pixels are in OUTPUT_FILE.
    Raises:
        Cancelled: the broker wanted it stopped.
        CoreError, SpoolFull, OutOfMemory: why there is no result.
    """
    return _Job(run, around).execute()


def engine_key(plan: UpscalePlan, run: link.Run, device: str) -> Key:
    """What tells the engine of a plan from others."""
    dtype = plan.passes[0].dtype
    if plan.engine != "pid":
        return Key(plan.engine, "", device, dtype)
    files = run.files
    companions = (str(files.get("vae", "")), str(files.get("text_encoder", "")))
    declared = tuple(str(value) for value in files.get("declared", {}).values())
    return Key("pid", str(files.get("weights", "")), device, dtype, companions + declared)


def file_bytes(key: Key) -> int:
    """About what a model will hold: the size of its network's file; 0 = not known."""
    try:
        return Path(key.weights).stat().st_size if key.weights else 0
    except OSError:  # loading says it better
        return 0


class _Job:
    """The course of one job: what it reports, and how long each stage takes."""

    def __init__(self, run: link.Run, around: Surroundings) -> None:
        self._run = run
        self._around = around
        self._folder = Path(run.folder)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._stage = ""
        self._stage_began_s = 0.0
        self._last_report_s = self._last_preview_s = 0.0

    def execute(self) -> link.Done:
        """Load, run, write; see the module's function."""
        run = self._run
        self._report("loading", 0.0)
        part = run.region
        region = Rect(part.x, part.y, part.width, part.height) if part else None
        request = UpscaleRequest.from_options(run.kind, run.options, region, run.mask)
        facts = self._around.facts()
        plan = plan_upscale(
            run.image.width, run.image.height, request, facts, channels=run.image.channels
        )
        attempt = None
        try:
            attempt = self._attempt(request, plan)
        except Exception as error:
            if not (isinstance(error, NotEnoughMemory) or is_out_of_memory(error)):
                raise
            log.warning("out of memory: %s", error)
            plan = self._smaller(plan, facts, error)
        if attempt is None:
            # Behind the handler: as long as the exception lives, its frames hold what did not fit.
            give_back()
            self._around.cache.make_room()
            attempt = self._attempt(request, plan)
        result, engine = attempt
        self._report("finish", 1.0)
        self._write(pack(result.picture))
        fmt = result.picture.format
        image = replace(run.image, width=fmt.width, height=fmt.height, channels=fmt.channels)
        return link.Done(run.job, image, self._record(result, plan, engine))

    def _attempt(
        self, request: UpscaleRequest, plan: UpscalePlan
    ) -> tuple[UpscaleResult, dict[str, Any]]:
        """Run the plan; returns the answer and what the record says of the engine."""
        around = self._around
        key = engine_key(plan, self._run, around.device)
        self._report("loading", 0.0)
        with around.cache.use(
            key, expected_bytes=file_bytes(key), keep_alive_s=self._run.keep_alive_s
        ) as engine:
            self._stop_if_wanted()
            pixels, mask = self._input()
            steps = cast(
                Generator[Progress], upscale(pixels, mask, request, plan, engine)
            )  # closing it is the cancel
            try:
                for progress in steps:
                    self._stop_if_wanted()
                    self._show(progress)
                    if progress.result is not None:
                        info = engine.info
                        named: dict[str, Any] = {
                            "engine": info.name,
                            "weights": info.weights,
                            "licence": info.licence,
                        }
                        if info.native_products:
                            named["native_products"] = list(info.native_products)
                        return progress.result, named
            finally:
                steps.close()
        raise InternalError("The engine ended without a result.", "See `pid log`.")

    def _input(self) -> tuple[Picture, np.ndarray | None]:
        """The picture and the mask as views of the mapped file; nothing is copied."""
        run, fmt = self._run, self._run.image
        try:
            with (self._folder / link.INPUT_FILE).open("rb") as file:
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            icc = (self._folder / link.PROFILE_FILE).read_bytes() if fmt.profile == "icc" else None
        except OSError as error:
            raise InternalError(
                f"The pixels are no longer on disk: {error.strerror}.", "Submit the job again."
            ) from error
        picture = PictureFormat(
            fmt.width, fmt.height, fmt.channels, fmt.depth, fmt.order, icc, fmt.encoding
        )
        mask = np.frombuffer(view[fmt.num_bytes :], np.uint8) if run.mask else None
        return unpack(view[: fmt.num_bytes], picture), mask

    def _write(self, pixels: memoryview) -> None:
        """Write the result in pieces, so that a cancel is seen between them."""
        path = self._folder / link.OUTPUT_FILE
        try:
            with path.open("wb", buffering=0) as file:
                written = 0
                while written < len(pixels):
                    self._stop_if_wanted()
                    written += file.write(pixels[written : written + WRITE_BYTES])
        except OSError as error:
            path.unlink(missing_ok=True)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise SpoolFull(
                f"The disk of {self._folder.parent} is full."
                if full
                else f"The result cannot be written: {error.strerror}.",
                "Make room, or set spool_folder.",
            ) from error

    def _stop_if_wanted(self) -> None:
        if self._around.is_stopped():
            raise Cancelled("The job was cancelled.")

    def _show(self, progress: Progress) -> None:
        self._report(progress.stage, progress.fraction, progress.index, progress.total)
        now_s = time.monotonic()
        if progress.preview and now_s - self._last_preview_s >= PREVIEW_EVERY_S:
            self._last_preview_s = now_s
            width, height, rgb = progress.preview
            self._around.tell(link.Shown(self._run.job, width, height, rgb))

    def _report(self, stage: str, fraction: float, index: int = 0, total: int = 0) -> None:
        now_s = time.monotonic()
        if self._stage:
            self._seconds[self._stage] += now_s - self._stage_began_s
        self._stage_began_s = now_s
        if stage != self._stage or now_s - self._last_report_s >= REPORT_EVERY_S:
            self._last_report_s = now_s
            self._around.tell(link.Doing(self._run.job, stage, fraction, index, total))
        self._stage = stage

    def _smaller(self, plan: UpscalePlan, facts: DeviceFacts, error: Exception) -> UpscalePlan:
        """The next smaller plan.

        Raises:
            OutOfMemory: there is none.
        """
        longest_px = max(max(one.width_px, one.height_px) for one in plan.passes)
        reduced = smaller(plan, facts)
        while reduced and min(one.tile_px for one in reduced.passes) >= longest_px:
            reduced = smaller(reduced, facts)  # tiles that hold the whole picture are the same plan
        if reduced is None:
            raise OutOfMemory(
                f"The memory ran out even in the smallest tiles: {error}",
                "Choose a smaller size, or end other programs.",
            ) from error
        return reduced

    def _record(
        self, result: UpscaleResult, plan: UpscalePlan, engine: dict[str, Any]
    ) -> dict[str, Any]:
        self._seconds[self._stage] += time.monotonic() - self._stage_began_s
        record = {
            **engine,
            "kind": self._run.kind,
            "options": self._run.options,
            "plan": plan.to_dict(),
            "device": self._around.device,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self._seconds.items()},
            **result.record,
        }
        if self._around.notice:
            record["notices"] = [*record.get("notices", []), self._around.notice]
        return record
