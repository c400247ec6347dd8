# SPDX-License-Identifier: Apache-2.0
"""The worker's main thread: wait for a job, do it, say what became of it and what is held now."""

from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING, Any

from pid_core.errors import CoreError
from pid_daemon import link
from pid_daemon.translate import from_core
from pid_daemon.worker.cache import Key, ModelCache
from pid_daemon.worker.pipe import Pipe
from pid_protocol.errors import InternalError, OutOfMemory, PidError

if TYPE_CHECKING:
    from pid_core.engines.base import Engine
    from pid_core.plan import DeviceFacts

log = logging.getLogger(__name__)

IDLE_LOOK_S = 1.0
"""How often an idle worker looks whether a model's keep-alive is over."""


def work(pipe: Pipe, *, device: str, budget_bytes: int) -> None:
    """Do jobs until the process is ended.

    Args:
        pipe: the link to the broker.
        device: the broker's word for the device.
        budget_bytes: most that models may hold; 0 = no limit.
    """
    pipe.send(link.Ready(os.getpid()))
    # Torch takes seconds to import; meanwhile the broker knows that this process lives.
    worker = Worker(pipe, device, budget_bytes)
    gc.freeze()  # what was imported stays: later collections need not look at it again
    worker.tell_holding()
    while True:
        run = pipe.next_run(IDLE_LOOK_S)
        if run is not None:
            worker.do(run)
            pipe.finished(run.job)
        if worker.cache.expire() or run is not None:
            worker.tell_holding()


class Worker:
    """A device with its models."""

    def __init__(self, pipe: Pipe, device: str, budget_bytes: int) -> None:
        from pid_core.engines.compact import preferred_dtype
        from pid_daemon.worker import device as devices
        from pid_daemon.worker import execute

        self._execute = execute
        self._pipe = pipe
        self._devices = devices
        self._device, self._notice = devices.resolve_device(device)
        self._dtype = preferred_dtype(self._device.partition(":")[0])
        self._budget_bytes = budget_bytes
        self._files: dict[str, Any] = {}
        """Where PiD's files are, as the present job says."""
        self.cache: ModelCache[Engine] = ModelCache(
            self._load,
            self._free_bytes,
            budget_bytes,
            is_out_of_memory=devices.is_out_of_memory,
        )

    def do(self, run: link.Run) -> None:
        """Carry out one job and report its end, whatever happens."""
        around = self._execute.Surroundings(
            device=self._device,
            notice=self._notice,
            facts=lambda: self.facts(run),
            cache=self.cache,
            tell=self._pipe.send,
            is_stopped=lambda: self._pipe.is_stopped(run.job),
        )
        self._files = run.files
        try:
            self._pipe.send(self._execute.execute(run, around))
            return
        except PidError as failure:
            error = failure
        except CoreError as failure:
            log.info("job %s: %s", run.job, failure)
            error = from_core(failure)
        except Exception as failure:
            log.exception("job %s failed", run.job)
            error = self._unexpected(failure)
        self._pipe.send(link.Failed(run.job, error.code, error.message, error.hint))

    def facts(self, run: link.Run) -> DeviceFacts:
        """What a plan depends on, now."""
        from pid_core.plan import Costs, DeviceFacts, EngineReadiness, PidFacts

        pid = run.readiness.get("pid")
        readiness = EngineReadiness(
            pid=PidFacts(**pid) if pid else None,
            pid_acknowledged=run.readiness.get("pid_acknowledged", False),
            has_gpu=self._device != "cpu",
        )
        return DeviceFacts(
            device=self._device.partition(":")[0],
            dtype=self._dtype,
            # What is loaded is either the engine that will be used, or can leave.
            free_bytes=self._devices.free_bytes(self._device) + self.cache.resident_bytes,
            budget_bytes=self._budget_bytes,
            readiness=readiness,
            costs=Costs.from_dict(run.costs),
        )

    def tell_holding(self) -> None:
        """Report what is loaded."""
        held = self.cache.snapshot()
        engines: list[dict[str, Any]] = [
            {"engine": key.name, "weights": key.weights, "resident_bytes": size}
            for key, size in held
        ]
        self._pipe.send(
            link.Holding(
                device=self._device,
                engines=engines,
                resident_bytes=self.cache.resident_bytes,
                free_bytes=self._devices.free_bytes(self._device),
                total_bytes=self._devices.total_bytes(self._device),
                dtype=self._dtype,
            )
        )

    def _load(self, key: Key) -> tuple[Engine, int]:
        from pid_core.engines.registry import create
        from pid_core.inspect import Declared

        settings: dict[str, Any] = {}
        if key.name == "pid":
            vae, text_encoder, *_ = key.companions
            settings = {
                "vae": vae,
                "text_encoder": text_encoder,
                "looks": False,  # the broker has chosen already
                "cache_folder": self._files["cache_folder"],
                "declared": Declared(**self._files["declared"]),
                "licence_accepted": True,  # the plan was refused otherwise
            }
        engine = create(
            key.name, weights=key.weights, device=key.device, dtype=key.dtype, **settings
        )
        return engine, engine.resident_bytes()

    def _free_bytes(self) -> int:
        """For the cache: collecting takes a while, so only when something was evicted."""
        self._devices.give_back()
        return self._devices.free_bytes(self._device)

    def _unexpected(self, failure: Exception) -> PidError:
        if self._devices.is_out_of_memory(failure):
            return OutOfMemory(
                f"The memory ran out twice, the second time in smaller tiles: {failure}",
                "Choose a smaller size, or end other programs.",
            )
        return InternalError(f"The worker failed: {type(failure).__name__}.", "See `pid log`.")
