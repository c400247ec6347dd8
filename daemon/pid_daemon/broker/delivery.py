# SPDX-License-Identifier: Apache-2.0
"""Pixels on their way out: bands straight from the mapped result file, within the credit that the
client gave."""

from __future__ import annotations

from dataclasses import dataclass

from pid_daemon.broker.jobs import Job
from pid_daemon.broker.sessions import Session, Sessions
from pid_daemon.broker.spool import Spool
from pid_daemon.wire import pack_header
from pid_protocol.errors import PidError
from pid_protocol.headers import to_header
from pid_protocol.limits import BAND_BYTES
from pid_protocol.messages import Band, Result

MAX_CREDIT = 1_024
"""More is taken as this much: what libzmq holds is bounded by its own queue."""


@dataclass
class _Delivery:
    """One result on its way to one connection."""

    job: str
    num_bytes: int
    offset: int = 0
    credit: int = 0
    view: memoryview | None = None
    """The mapped file; made when the first credit comes."""


class Deliveries:
    """All results under way."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._open: dict[bytes, dict[str, _Delivery]] = {}

    def offer(self, sessions: Sessions, session: Session, job: Job) -> None:
        """Send the `result` event; the pixels follow when the client grants credit."""
        if job.image is None:
            return
        profile = self._spool.profile(job.id) if job.image.profile == "icc" else b""
        sessions.tell(session, Result(job.id, job.image, job.record), profile)
        if not session.is_gone:
            offers = self._open.setdefault(session.route, {})
            offers[job.id] = _Delivery(job.id, job.image.num_bytes)

    def credit(self, session: Session, job: str, bands: int) -> None:
        """Take the client's leave to send more bands; without such a delivery it means nothing."""
        delivery = self._open.get(session.route, {}).get(job)
        if delivery is not None:
            delivery.credit = min(MAX_CREDIT, delivery.credit + max(0, bands))

    def pump(self, sessions: Sessions, session: Session) -> list[tuple[str, PidError]]:
        """Send what credit and libzmq allow now.

        Returns:
            Jobs whose result could not be read, with the reason; their delivery is over.
        """
        lost: list[tuple[str, PidError]] = []
        for delivery in list(self._open.get(session.route, {}).values()):
            try:
                while delivery.credit > 0 and self._send_next(sessions, session, delivery):
                    pass
            except PidError as error:
                lost.append((delivery.job, error))
                delivery.offset = delivery.num_bytes
            if delivery.offset == delivery.num_bytes:
                self._open.get(session.route, {}).pop(delivery.job, None)
        return lost

    def drop(self, route: bytes) -> None:
        """Forget what was under way to a closed connection."""
        self._open.pop(route, None)

    def drop_job(self, job: str) -> None:
        """Forget what was under way of a job that is no longer kept."""
        for offers in self._open.values():
            offers.pop(job, None)

    def _send_next(self, sessions: Sessions, session: Session, delivery: _Delivery) -> bool:
        """Send one band; False = there is none left, or libzmq takes none now."""
        if delivery.offset == delivery.num_bytes:
            return False
        if delivery.view is None:
            delivery.view = self._spool.map_output(delivery.job, delivery.num_bytes)
        end = min(delivery.num_bytes, delivery.offset + BAND_BYTES)
        header = pack_header(to_header(Band(delivery.job, delivery.offset)))
        if not sessions.send_band(session, header, delivery.view[delivery.offset : end]):
            return False
        delivery.offset = end
        delivery.credit -= 1
        return True
