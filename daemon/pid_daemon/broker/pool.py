# SPDX-License-Identifier: Apache-2.0
"""The workers: who gets the next job, how long anything may take, when one is restarted or leaves.

One slot per device. The pool knows no clients and no disk: jobs come from `take`, what becomes of
them goes to `report`, and `tick` compares the clock with the limits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pid_daemon import link
from pid_daemon.broker.slot import FOREVER, Assignment, Slot
from pid_daemon.broker.worker_process import Life, WorkerProcess
from pid_daemon.config import Config
from pid_protocol.errors import Cancelled, InternalError, TimedOut, WorkerDied
from pid_protocol.headers import Message

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 5.0
"""Pause before a restart; doubled for each worker in a row that did not finish a job."""
MAX_VAIN_STARTS = 3
"""Starts in a row that fail before a waiting job is told so."""
LEAVE_S = 3.0
"""Seconds that a worker has to end after it was asked to."""
START_KEEP_S = 10.0
"""Seconds that a worker waits at least for its first job, whose pixels may still be on their
way."""
TIMES_EXPECTED = 10.0
"""A stage may take that many times what the whole job should."""


class Pool:
    """All workers."""

    def __init__(
        self,
        config: Config,
        devices: Sequence[str],
        waiting: Callable[[], int],
        take: Callable[[], tuple[link.Run, float] | None],
        report: Callable[[Message], None],
    ) -> None:
        """Begin without processes.

        Args:
            config: limits and keep-alive.
            devices: one worker each.
            waiting: number of jobs that wait.
            take: the next job and the seconds it should take, or None.
            report: what a worker says of its job; a dead worker's `Failed` is made here.
        """
        self._config = config
        self._waiting = waiting
        self._take = take
        self._report = report
        self._slots = [Slot(device) for device in devices]
        self._is_closing = False
        self._loop = asyncio.get_running_loop()

    def warm(self) -> None:
        """A job is on its way: start a worker if none runs, so that it is ready in time."""
        if all(slot.life in (Life.OFF, Life.LEAVING) for slot in self._slots):
            next((slot for slot in self._slots if self._start(slot)), None)

    def wake(self) -> None:
        """Something is to do, or somebody is free: give out jobs, and start workers for what is
        left."""
        if self._is_closing:
            return
        for slot in self._slots:
            if slot.life is Life.IDLE:
                self._give(slot)
        starting = sum(slot.life is Life.STARTING for slot in self._slots)
        for slot in self._slots:
            if slot.life is Life.OFF and self._waiting() > starting:
                starting += self._start(slot)

    def cancel(self, job: str) -> bool:
        """Stop a running job: the worker first gets the chance to stop by itself. False = nobody
        runs it."""
        for slot in self._slots:
            if slot.work and slot.work.order.job == job and slot.process:
                if not slot.work.is_stopping:
                    slot.work.is_stopping = True
                    grace_s = self._config.cancel_grace_s
                    slot.work.deadline_s = min(slot.work.deadline_s, self._loop.time() + grace_s)
                    slot.process.send(link.Stop(job))
                return True
        return False

    def unload(self) -> None:
        """Let idle workers leave now, and busy ones after their job."""
        for slot in self._slots:
            slot.keep_alive_s = 0.0
            if slot.life is Life.IDLE:
                self._let_go(slot)
            elif slot.work:
                slot.work.order = _with_keep_alive(slot.work.order, 0.0)

    def tick(self) -> None:
        """Compare the clock with every limit."""
        now_s = self._loop.time()
        for slot in self._slots:
            if slot.work and now_s > slot.work.deadline_s and slot.process:
                what = "did not stop" if slot.work.is_stopping else "hung"
                why = f"it {what} in the stage {slot.work.stage} and was ended"
                if slot.process.kill(why):
                    log.warning("worker %s: %s", slot.device, why)
            elif now_s > slot.deadline_s and slot.process:
                slot.deadline_s = FOREVER
                if slot.life is Life.IDLE:
                    log.info("worker %s leaves after its keep-alive", slot.device)
                    self._let_go(slot)
                else:
                    slot.process.kill()
            elif slot.life is Life.OFF and slot.wants_restart and now_s > slot.not_before_s:
                self._start(slot)
        self.wake()

    async def close(self) -> None:
        """End all workers and wait until they are gone."""
        self._is_closing = True
        processes = [slot.process for slot in self._slots if slot.process]
        for slot in self._slots:
            if slot.process:
                self._let_go(slot)
        waits = [asyncio.ensure_future(process.wait()) for process in processes]
        if waits:
            _, late = await asyncio.wait(waits, timeout=1.0)
            for process in processes if late else ():
                process.kill()
            await asyncio.wait(waits, timeout=LEAVE_S)

    @property
    def is_empty(self) -> bool:
        """Whether no worker process is there."""
        return not any(slot.process for slot in self._slots)

    @property
    def holdings(self) -> list[link.Holding]:
        """What workers said of their devices, also those that left."""
        return [slot.holding for slot in self._slots if slot.holding]

    def rows(self) -> list[dict[str, Any]]:
        """One entry for each worker, for `status`."""
        return [slot.to_row(self._loop.time()) for slot in self._slots]

    def _start(self, slot: Slot) -> bool:
        """Start a slot's worker, unless it is too early after the last one's end."""
        now_s = self._loop.time()
        if self._is_closing or slot.life is not Life.OFF or now_s < slot.not_before_s:
            return False
        slot.wants_restart = False
        slot.keep_alive_s = self._config.keep_alive_s
        slot.life = Life.STARTING
        slot.deadline_s = now_s + self._config.start_limit_s
        arguments = ["--memory-budget-mib", str(self._config.memory_budget_mib)]
        slot.process = WorkerProcess(
            slot.device, arguments, partial(self._hear, slot), partial(self._bury, slot)
        )
        slot.process.start()
        return True

    def _give(self, slot: Slot) -> None:
        taken = self._take()
        if taken is None or slot.process is None:
            return
        order, expected_s = taken
        slot.life = Life.BUSY
        slot.deadline_s = FOREVER
        slot.work = Assignment(order, expected_s)
        slot.work.deadline_s = self._loop.time() + self._config.start_limit_s
        slot.process.send(order)

    def _let_go(self, slot: Slot) -> None:
        if slot.process:
            slot.life = Life.LEAVING
            slot.deadline_s = self._loop.time() + LEAVE_S
            slot.process.send(link.Quit())

    def _hear(self, slot: Slot, process: WorkerProcess, message: Message) -> None:
        if slot.process is not process:
            return
        match message:
            case link.Ready():
                slot.life = Life.IDLE
                self._rest(
                    slot, max(slot.keep_alive_s, START_KEEP_S) if slot.keep_alive_s >= 0 else -1
                )
                self.wake()
            case link.Holding():
                slot.holding = message
            case link.Doing() if slot.work and slot.work.order.job == message.job:
                slot.work.stage = message.stage
                if not slot.work.is_stopping:
                    slot.work.deadline_s = self._loop.time() + self._limit_s(slot.work)
                    self._report(message)
            case link.Shown() if slot.work and slot.work.order.job == message.job:
                self._report(message)
            case link.Done() | link.Failed() if slot.work and slot.work.order.job == message.job:
                self._finish(slot, slot.work, message)
            case _:
                log.warning("worker %s spoke of a job it does not have", slot.device)

    def _finish(self, slot: Slot, work: Assignment, message: Message) -> None:
        slot.work = None
        slot.life = Life.IDLE
        slot.vain_starts = 0
        slot.keep_alive_s = work.order.keep_alive_s
        if work.is_stopping:
            message = _failed(work, Cancelled("The job was cancelled."))
        self._report(message)
        self._give(slot)
        if slot.work is None:
            self._rest(slot, slot.keep_alive_s)

    def _rest(self, slot: Slot, keep_s: float) -> None:
        """Nothing to do: the keep-alive begins."""
        if keep_s == 0:
            self._let_go(slot)
        else:
            slot.deadline_s = self._loop.time() + keep_s if keep_s > 0 else FOREVER

    def _bury(self, slot: Slot, process: WorkerProcess, reason: str) -> None:
        if slot.process is not process:
            return
        work, life = slot.work, slot.life
        slot.process, slot.work, slot.life, slot.deadline_s = None, None, Life.OFF, FOREVER
        if slot.holding:  # what is known of the device stays
            slot.holding = replace(slot.holding, engines=[], resident_bytes=0)
        if life is Life.LEAVING:
            log.info("worker %s left", slot.device)
        else:
            self._mourn(slot, work, life, reason)
        self.wake()

    def _mourn(self, slot: Slot, work: Assignment | None, life: Life, reason: str) -> None:
        """A worker ended unasked: say why, and see to a new one."""
        log.error("worker %s: %s (%s)", slot.device, reason, life.value)
        now_s = self._loop.time()
        stopped = work is not None and work.is_stopping
        slot.vain_starts += not stopped
        pause_s = FIRST_PAUSE_S * 2 ** min(slot.vain_starts - 1, 10) if slot.vain_starts else 0.0
        slot.not_before_s = now_s + min(LAST_PAUSE_S, pause_s)
        slot.wants_restart = slot.vain_starts <= MAX_VAIN_STARTS
        if work is not None:
            self._report(_failed(work, self._cause(work, reason, now_s)))
        elif (
            life is Life.STARTING
            and slot.vain_starts >= MAX_VAIN_STARTS
            and (taken := self._take())
        ):
            error = WorkerDied(
                f"The worker cannot be started: {reason}.", "`pid log` has the details."
            )
            self._report(_failed(Assignment(*taken), error))

    def _cause(
        self, work: Assignment, reason: str, now_s: float
    ) -> Cancelled | TimedOut | WorkerDied:
        if work.is_stopping:
            return Cancelled("The job was cancelled.")
        if now_s > work.deadline_s:
            return TimedOut(
                f"The stage {work.stage} took longer than its limit; the worker was ended.",
                "Try again, or raise stage_limit_s.",
            )
        return WorkerDied(f"The worker ended while it did this job: {reason}.", "Submit it again.")

    def _limit_s(self, work: Assignment) -> float:
        if work.stage == "loading":
            return self._config.load_limit_s
        return max(self._config.stage_limit_s, TIMES_EXPECTED * work.expected_s)


def _failed(
    work: Assignment, error: Cancelled | TimedOut | WorkerDied | InternalError
) -> link.Failed:
    return link.Failed(work.order.job, error.code, error.message, error.hint)


def _with_keep_alive(order: link.Run, keep_alive_s: float) -> link.Run:
    return replace(order, keep_alive_s=keep_alive_s)
