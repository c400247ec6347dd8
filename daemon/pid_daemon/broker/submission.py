# SPDX-License-Identifier: Apache-2.0
"""From `submit` to `queued`: everything is judged, then room is made, then the pixels come, then
the job is accepted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pid_core.plan import DeviceFacts
from pid_daemon.broker import plans
from pid_daemon.broker.admission import checked_submit
from pid_daemon.broker.books import Books
from pid_daemon.broker.intake import Intake
from pid_daemon.broker.jobs import Job, State
from pid_daemon.broker.sessions import Session, Sessions
from pid_daemon.wire import Buffer
from pid_protocol.errors import InvalidRequest, PidError, QueueFull, RemoteProtocolError
from pid_protocol.limits import BAND_CREDITS, MAX_JOBS_PER_CLIENT
from pid_protocol.messages import Band, Credit, Submit
from pid_protocol.pixels import CHANNELS, DEPTHS


class Submission:
    """Jobs on their way in."""

    def __init__(
        self,
        sessions: Sessions,
        books: Books,
        intake: Intake,
        settled: Callable[[Mapping[str, Any]], dict[str, Any]],
        facts: Callable[[Mapping[str, Any]], DeviceFacts],
        coming: Callable[[], None],
        accepted: Callable[[], None],
    ) -> None:
        """Wire it up.

        Args:
            sessions: for the answers.
            books: where accepted jobs go.
            intake: where pixels go.
            settled: fills in what the settings say where the options leave it open.
            facts: what is known of the device now, and of the engine that the options ask for.
            coming: called when a job's pixels will follow.
            accepted: called when a job waits to be run.
        """
        self._sessions = sessions
        self._books = books
        self._intake = intake
        self._settled = settled
        self._facts = facts
        self._coming = coming
        self._accepted = accepted

    def submit(
        self, session: Session, submit: Submit, blobs: Sequence[Buffer], to: int | None
    ) -> None:
        """Judge a submit and ask for its pixels.

        Raises:
            PidError: it was refused; nothing is kept of it.
        """
        profile = bytes(blobs[0]) if blobs else b""
        submit = checked_submit(submit, profile)
        submit = replace(submit, options=self._settled(submit.options))
        if submit.job in self._books:
            raise InvalidRequest("A job of that name is kept already.", "Choose a new name.")
        if self._books.num_unfinished(session.route) >= MAX_JOBS_PER_CLIENT:
            raise QueueFull(
                f"This connection has {MAX_JOBS_PER_CLIENT} jobs that are not finished.",
                "Wait for some of them.",
            )
        job = self._job(session, submit, len(profile))
        self._intake.open(job, profile)
        self._books.receive(job)
        self._coming()
        self._sessions.answer(session, Credit(job.id, BAND_CREDITS), to)

    def band(self, session: Session, band: Band, blobs: Sequence[Buffer]) -> None:
        """Take one band; a wrong one ends its job.

        Raises:
            PidError: the job is not this connection's, or does not wait for pixels.
        """
        job = self._books.find(band.job)
        if job.owner != session.route or job.state is not State.RECEIVING:
            raise InvalidRequest("That job does not wait for pixels from this connection.")
        try:
            if len(blobs) != 1:
                raise RemoteProtocolError(f"A band has one blob, not {len(blobs)}.")
            if not self._intake.take(band, blobs[0]):
                self._sessions.tell(session, Credit(job.id, 1))
                return
            self._books.accept(job)
        except PidError as error:
            self._intake.drop(job.id)
            self._books.fail(job, error)
            return
        self._accepted()
        self._books.tell_positions(only=job)

    def _job(self, session: Session, submit: Submit, profile_bytes: int) -> Job:
        image = submit.image
        plan = plans.plan_of(submit, self._facts(submit.options), has_mask=submit.mask)
        num_pixels = image.width * image.height
        input_bytes = image.num_bytes + submit.mask * num_pixels
        samples = CHANNELS[image.channels] + int(submit.mask and not image.has_alpha)
        output_bytes = plan.result_width_px * plan.result_height_px * samples * DEPTHS[image.depth]
        job = Job(
            submit=submit,
            client=session.client,
            owner=session.route,
            submitted_s=time.time(),
            input_bytes=input_bytes,
            reserved_bytes=input_bytes + output_bytes + profile_bytes,
            expected_s=plan.expected_s,
        )
        job.followers.add(session.route)
        return job
