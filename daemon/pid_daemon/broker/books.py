# SPDX-License-Identifier: Apache-2.0
"""The books: every accepted job ends delivered or reported. All changes of a job's state happen
here.

    receiving ─► queued ─► running ─► done ───► forgotten or expired
        └──────────┴──────────┴────► failed ─┘

What is accepted is on disk before the client hears of it, and so is every end.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from pid_daemon.broker.jobs import ENDED, UNFINISHED, Job, State
from pid_daemon.broker.queue import FairQueue
from pid_daemon.broker.spool import Spool
from pid_protocol.errors import ConnectionLost, PidError, UnknownJob
from pid_protocol.headers import Message
from pid_protocol.messages import Error, Progress, Queued
from pid_protocol.pixels import PixelFormat

log = logging.getLogger(__name__)

MAX_ENDED = 512
"""Reports and results that are kept; beyond it the oldest reports go first."""
MAX_ATTEMPTS = 3
"""Times that a job is begun; one that is there at three deaths of the daemon is not tried again."""

Announce = Callable[[Job, Message], bool]
"""Tells a job's followers; returns whether anybody was told."""


class Books:
    """All jobs that are kept."""

    def __init__(self, spool: Spool, announce: Announce, expiry_s: float) -> None:
        self._spool = spool
        self._announce = announce
        self._expiry_s = expiry_s
        self._jobs: dict[str, Job] = {}
        self.queue = FairQueue()
        self.totals: Counter[str] = Counter()
        """Since the start: accepted, delivered, reported."""

    def __contains__(self, job: str) -> bool:
        return job in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def find(self, job: str) -> Job:
        """A kept job.

        Raises:
            UnknownJob: there is none of that name.
        """
        if job not in self._jobs:
            raise UnknownJob("No job of that name is kept.", "`pid jobs` lists those that are.")
        return self._jobs[job]

    def counts(self) -> dict[str, int]:
        """Number of jobs by state, and the totals since the start."""
        counts = Counter(job.state.value for job in self._jobs.values())
        return {state.value: counts[state.value] for state in State} | {
            name: self.totals[name] for name in ("accepted", "delivered", "reported")
        }

    def num_unfinished(self, owner: bytes) -> int:
        """Jobs of a connection that have not ended."""
        return sum(job.owner == owner and job.state in UNFINISHED for job in self._jobs.values())

    def recover(self) -> None:
        """Read the spool after a restart: resume what was detached, report the rest, keep what had
        ended."""
        for job in self._spool.recover():
            self._jobs[job.id] = job
            if job.state in ENDED:
                continue
            if job.submit.detached and job.attempts < MAX_ATTEMPTS:
                log.info("job %s is resumed after a restart", job.id)
                job.state = State.QUEUED
                self.queue.add(job.id, job.client, job.submit.priority)
            else:
                lost = ConnectionLost(
                    "The daemon ended while this job was under way.", "Submit it again."
                )
                self.fail(job, lost)

    def receive(self, job: Job) -> None:
        """A submit was taken; its pixels follow."""
        self._jobs[job.id] = job

    def accept(self, job: Job) -> None:
        """The pixels are there: from here on the job ends delivered or reported.

        Raises:
            SpoolFull: the book cannot be written; the job was not accepted.
        """
        job.state = State.QUEUED
        try:
            self._spool.save(job)
        except PidError:
            job.state = State.RECEIVING
            raise
        self.queue.add(job.id, job.owner.hex(), job.submit.priority)
        self.totals["accepted"] += 1
        log.info("job %s accepted from %s", job.id, job.client)

    def take(self) -> Job | None:
        """The next job, now running."""
        name = self.queue.take()
        if name is None:
            return None
        job = self._jobs[name]
        job.state = State.RUNNING
        job.attempts += 1
        self._save(job)
        job.position = 0
        self._announce(job, Queued(job.id, 0))
        return job

    def tell_positions(self, only: Job | None = None) -> None:
        """Tell followers where their job stands, if that has changed; `only` those of one job."""
        for position, name in enumerate(self.queue.order(), start=1):
            job = self._jobs[name]
            if job.position != position and only in (None, job):
                job.position = position
                self._announce(job, Queued(name, position))

    def progress(self, job: Job, progress: Progress) -> None:
        """Keep and tell how far a job is."""
        job.progress = progress
        self._announce(job, progress)

    def finish(self, job: Job, image: PixelFormat, record: dict[str, Any]) -> None:
        """A result is on disk."""
        job.image, job.record, job.state, job.ended_s = image, record, State.DONE, time.time()
        job.reserved_bytes = image.num_bytes
        self._spool.drop_input(job.id, image.num_bytes)
        self._save(job)
        log.info("job %s done", job.id)

    def fail(self, job: Job, error: PidError) -> None:
        """A job ends without a result: tell its followers, keep the report for those who ask
        later."""
        if job.state in ENDED:
            return
        was_accepted = job.state is not State.RECEIVING
        self.queue.remove(job.id)
        self._spool.drop_pixels(job.id)
        job.state, job.error, job.ended_s, job.reserved_bytes = State.FAILED, error, time.time(), 0
        job.reported = self._announce(job, Error(error.code, error.message, error.hint, job.id))
        log.info("job %s ended: %s: %s", job.id, error.code, error.message)
        if was_accepted:
            self.totals["reported"] += 1
            self._save(job)
        else:
            self._remove(job)

    def forget(self, job: Job) -> None:
        """The client has the result, or the report, or wants neither."""
        if job.state is State.DONE:
            self.totals["delivered"] += 1
        self._remove(job)

    def fail_lost_result(self, job: Job, error: PidError) -> None:
        """A finished job's pixels are gone from the disk: what was a result becomes a report."""
        job.state, job.image = State.RUNNING, None
        self.fail(job, error)

    def expire(self) -> None:
        """Remove what waited too long, and the oldest reports when there are too many."""
        now_s = time.time()
        ended = sorted(
            (job for job in self._jobs.values() if job.state in ENDED), key=lambda job: job.ended_s
        )
        for job in ended:
            if now_s - job.ended_s > self._expiry_s:
                log.info("job %s expired", job.id)
                self._remove(job)
        reports = [job for job in ended if job.state is State.FAILED and job.id in self._jobs]
        for job in sorted(reports, key=lambda job: not job.reported)[
            : max(0, len(ended) - MAX_ENDED)
        ]:
            self._remove(job)

    def keep_alive_s(self, job: Job, default_s: float) -> float:
        """Seconds that the models stay after this job."""
        wish_s = job.submit.keep_alive_s
        return default_s if wish_s is None else wish_s

    def detach_from(self, route: bytes) -> list[Job]:
        """A connection closed: take it off every job.

        Returns:
            Unfinished jobs that nobody follows any more and that were not submitted detached.
        """
        orphans: list[Job] = []
        for job in self._jobs.values():
            if route in job.followers:
                job.followers.discard(route)
                if job.state in UNFINISHED and not job.followers and not job.submit.detached:
                    orphans.append(job)
        return orphans

    def _save(self, job: Job) -> None:
        try:
            self._spool.save(job)
        except PidError as error:
            # The job itself goes on; only its trace after a restart is at stake.
            log.error("the book of job %s cannot be written: %s", job.id, error.message)

    def _remove(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._spool.remove(job.id)
