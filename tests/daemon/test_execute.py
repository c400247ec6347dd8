# SPDX-License-Identifier: Apache-2.0
"""One job inside the worker: memory that runs out, cancels, the record. No process, an invented
engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pid_client.options import validated
from pid_core.engines.base import EngineInfo, Step
from pid_core.errors import NotEnoughMemory
from pid_core.plan import DeviceFacts
from pid_daemon import link
from pid_daemon.worker.cache import ModelCache
from pid_daemon.worker.execute import Surroundings, execute
from pid_protocol.errors import Cancelled, OutOfMemory
from pid_protocol.headers import Message
from pid_protocol.pixels import PixelFormat

SIDE_PX = 300
JOB = "0" * 32


class ScriptedEngine:
    """Four times as large, by repeating pixels; it fails as often as it is told to."""

    def __init__(self, failures: list[Exception]) -> None:
        self.info = EngineInfo("compact", "scripted", "Apache-2.0", 4)
        self.failures = failures
        self.tiles_px: list[int] = []

    def run(self, image: torch.Tensor, options: Any, plan: Any) -> Iterator[Step]:
        self.tiles_px.append(plan.tile_px)
        yield Step("tile", 0.5, 1, 2)
        if self.failures:
            raise self.failures.pop(0)
        yield Step("tile", 1.0, 2, 2, image=image.repeat_interleave(4, 2).repeat_interleave(4, 3))

    def resident_bytes(self) -> int:
        return 1

    def describe(self) -> dict[str, Any]:
        return {}


class Bench:
    """A job's folder and surroundings."""

    def __init__(self, folder: Path, *failures: Exception) -> None:
        self.folder = folder
        self.engine = ScriptedEngine(list(failures))
        self.told: list[Message] = []
        self.stop_at = ""
        (folder / link.INPUT_FILE).write_bytes(bytes(SIDE_PX * SIDE_PX * 3))

    def run(self) -> link.Done:
        order = link.Run(
            JOB, str(self.folder), "upscale", PixelFormat(SIDE_PX, SIDE_PX),
            validated("upscale", {"engine": "compact"}),
        )  # fmt: skip
        cache: ModelCache[Any] = ModelCache(lambda key: (self.engine, 1), lambda: 1 << 40)
        around = Surroundings("cpu", "", DeviceFacts, cache, self.told.append, self._is_stopped)
        return execute(order, around)

    def _is_stopped(self) -> bool:
        stages = [message.stage for message in self.told if isinstance(message, link.Doing)]
        return self.stop_at in stages


def test_the_record_says_what_was_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench.run()
    assert (done.image.width, done.image.height) == (4 * SIDE_PX, 4 * SIDE_PX)
    assert (tmp_path / link.OUTPUT_FILE).stat().st_size == done.image.num_bytes
    record = done.record
    assert (record["engine"], record["weights"], record["licence"]) == (
        "compact",
        "scripted",
        "Apache-2.0",
    )
    assert record["options"]["scale"] == 4.0
    assert record["plan"]["engine"] == "compact"
    assert set(record["seconds"]) >= {"loading", "tile", "finish"}
    fractions = [message.fraction for message in bench.told if isinstance(message, link.Doing)]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    "failure",
    [
        NotEnoughMemory("does not fit"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_is_tried_once_more_in_smaller_tiles(
    tmp_path: Path, failure: Exception
) -> None:
    bench = Bench(tmp_path, failure)
    done = bench.run()
    first_px, second_px = bench.engine.tiles_px
    assert second_px < SIDE_PX < first_px, "tiles that hold the whole picture would be the same"
    assert any("memory ran out" in notice for notice in done.record["notices"])
    assert done.record["plan"]["passes"][0]["tile_px"] == second_px


def test_out_of_memory_twice_is_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NotEnoughMemory("once"), NotEnoughMemory("twice"))
    with pytest.raises((NotEnoughMemory, OutOfMemory), match="twice"):
        bench.run()
    assert not (tmp_path / link.OUTPUT_FILE).exists()


def test_another_error_is_not_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        bench.run()
    assert len(bench.engine.tiles_px) == 1


@pytest.mark.parametrize("stage", ["loading", "convert", "tile", "finish"])
def test_a_cancel_is_seen_in_every_stage(tmp_path: Path, stage: str) -> None:
    bench = Bench(tmp_path)
    bench.stop_at = stage
    with pytest.raises(Cancelled):
        bench.run()
