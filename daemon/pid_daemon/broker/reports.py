# SPDX-License-Identifier: Apache-2.0
"""What workers say of their jobs, turned into entries in the books and events for the followers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pid_daemon import link
from pid_daemon.broker.books import Books
from pid_daemon.broker.delivery import Deliveries
from pid_daemon.broker.jobs import Job, State
from pid_daemon.broker.sessions import Sessions
from pid_daemon.broker.spool import Spool
from pid_protocol.errors import InternalError, from_wire
from pid_protocol.headers import Message
from pid_protocol.messages import Preview, Progress

log = logging.getLogger(__name__)

MIN_FRACTION_FOR_ETA = 0.02


class Reports:
    """Hands on what the pool hears."""

    def __init__(
        self,
        sessions: Sessions,
        books: Books,
        deliveries: Deliveries,
        spool: Spool,
        learn: Callable[[dict[str, Any]], None],
    ) -> None:
        """Wire it up; `learn` gets the record of every finished job."""
        self._sessions = sessions
        self._books = books
        self._deliveries = deliveries
        self._spool = spool
        self._learn = learn
        self._is_closed = False
        self._work_began_s: dict[str, float] = {}
        """Loop time at which a job's models were loaded; the estimate of its end counts from
        there."""

    def close(self) -> None:
        """The daemon ends: what its dying workers say changes nothing any more."""
        self._is_closed = True

    def receive(self, message: Message) -> None:
        """Take one message about a job; a job that is no longer kept has nobody to tell."""
        name = getattr(message, "job", "")
        if self._is_closed or name not in self._books:
            return
        job = self._books.find(name)
        match message:
            case link.Doing():
                self._progress(job, message)
            case link.Shown():
                self._preview(job, message)
            case link.Done():
                self._done(job, message)
            case link.Failed():
                self._work_began_s.pop(name, None)
                self._books.fail(job, from_wire(message.code, message.message, message.hint))
            case _:
                log.warning("a worker's %s is no report", message.type)

    def _progress(self, job: Job, doing: link.Doing) -> None:
        now_s = asyncio.get_running_loop().time()
        eta_s = None
        if doing.stage != "loading":
            began_s = self._work_began_s.setdefault(job.id, now_s)
            if doing.fraction >= MIN_FRACTION_FOR_ETA and now_s > began_s:
                eta_s = (now_s - began_s) * (1 - doing.fraction) / doing.fraction
            elif job.expected_s:
                eta_s = job.expected_s * (1 - doing.fraction)
        progress = Progress(
            job.id, doing.stage, doing.fraction, doing.index, doing.total,
            None if eta_s is None else round(eta_s, 2),
        )  # fmt: skip
        self._books.progress(job, progress)

    def _preview(self, job: Job, shown: link.Shown) -> None:
        for route in tuple(job.followers):
            session = self._sessions.get(route)
            if session:
                self._sessions.tell(
                    session, Preview(job.id, shown.width, shown.height), shown.pixels
                )

    def _done(self, job: Job, done: link.Done) -> None:
        self._work_began_s.pop(job.id, None)
        if job.state is not State.RUNNING:
            return
        try:
            self._spool.check_output(job.id, done.image.num_bytes)
        except InternalError as error:
            self._books.fail(job, error)
            return
        self._books.finish(job, done.image, done.record)
        self._learn(done.record)
        for route in tuple(job.followers):
            session = self._sessions.get(route)
            if session:
                self._deliveries.offer(self._sessions, session, job)
