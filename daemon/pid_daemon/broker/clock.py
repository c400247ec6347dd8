# SPDX-License-Identifier: Apache-2.0
"""What the daemon does by itself: watch limits, notice closed connections, tidy up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from pid_daemon.broker.books import Books
from pid_daemon.broker.jobs import UNFINISHED, Job, State
from pid_daemon.broker.places import Places
from pid_daemon.broker.pool import Pool
from pid_daemon.broker.sessions import Sessions
from pid_daemon.broker.spool import Spool
from pid_protocol.headers import Message
from pid_protocol.messages import Credit, Queued

log = logging.getLogger(__name__)

TICK_S = 0.1
"""How often limits are compared with the clock."""
PROBE_S = 0.5
"""Connections with unfinished jobs hear something at least that often: so a closed one shows."""
HOUSEKEEPING_S = 5.0
"""How often places on disk and expiries are looked at."""


class Clock:
    """Regular work, in the event loop's thread."""

    def __init__(
        self,
        sessions: Sessions,
        books: Books,
        spool: Spool,
        pool: Pool,
        places: Places,
        idle_exit_s: float,
        stop: Callable[[], None],
    ) -> None:
        """Wire it up.

        Args:
            sessions: connections to be probed.
            books: jobs with positions and expiries.
            spool: whose folder has to be there.
            pool: workers with limits.
            places: to be restored.
            idle_exit_s: seconds without anything to do after which `stop` is called; 0 = never.
            stop: ends the daemon.
        """
        self._sessions = sessions
        self._books = books
        self._spool = spool
        self._pool = pool
        self._places = places
        self._idle_exit_s = idle_exit_s
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._last_busy_s = self._loop.time()

    async def run(self) -> None:
        """Go on until cancelled; one failure is logged and does not stop the clock."""
        next_probe_s = next_housekeeping_s = self._loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._loop.time()
            try:
                self._pool.tick()
                if now_s >= next_probe_s:
                    next_probe_s = now_s + PROBE_S
                    self._books.tell_positions()
                    self._probe(now_s)
                if now_s >= next_housekeeping_s:
                    next_housekeeping_s = now_s + HOUSEKEEPING_S
                    self._keep_house(now_s)
            except Exception:
                log.exception("the clock's work failed")

    def _probe(self, now_s: float) -> None:
        """Say something cheap to every connection that waits for a job and has heard nothing."""
        for job in self._books:
            if job.state not in UNFINISHED:
                continue
            for route in tuple(job.followers):
                session = self._sessions.get(route)
                if session and not session.outbox and now_s - session.last_sent_s >= PROBE_S:
                    self._sessions.tell(session, _probe_for(job))

    def _keep_house(self, now_s: float) -> None:
        self._books.expire()
        self._places.restore()
        with contextlib.suppress(OSError):
            self._spool.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(job.state in UNFINISHED for job in self._books) or not self._pool.is_empty:
            self._last_busy_s = now_s
        if 0 < self._idle_exit_s < now_s - self._last_busy_s:
            log.info("nothing to do for %g s: the daemon ends", self._idle_exit_s)
            self._stop()


def _probe_for(job: Job) -> Message:
    """An event that repeats what the client knows."""
    if job.state is State.RECEIVING:
        return Credit(job.id, 0)
    if job.state is State.RUNNING and job.progress:
        return job.progress
    return Queued(job.id, max(0, job.position))
