# SPDX-License-Identifier: Apache-2.0
"""Pixels on their way in: bands are written to the spool as they come, within the credit that was
given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pid_daemon.broker.jobs import Job
from pid_daemon.broker.spool import Spool, disk_error
from pid_daemon.link import INPUT_FILE
from pid_daemon.wire import Buffer
from pid_protocol.errors import RemoteProtocolError
from pid_protocol.limits import BAND_CREDITS, MAX_BAND_BYTES
from pid_protocol.messages import Band


@dataclass
class _Arrival:
    """One picture under way."""

    expected_bytes: int
    received_bytes: int = 0
    credit: int = BAND_CREDITS
    """Bands that the client may still send."""


def write_at(path: Path, offset: int, view: memoryview) -> None:
    """Write into a file that is there; the system may take less than everything at once."""
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        while view:
            view = view[file.write(view) :]


class Intake:
    """All pictures under way."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._arrivals: dict[str, _Arrival] = {}

    def open(self, job: Job, profile: bytes) -> None:
        """Make room for a job's picture.

        Raises:
            SpoolFull: there is none.
        """
        # No descriptor stays open: a client may have more jobs on their way than we may have
        # descriptors.
        os.close(self._spool.open_input(job.id, job.reserved_bytes, profile))
        self._arrivals[job.id] = _Arrival(job.input_bytes)

    def take(self, band: Band, pixels: Buffer) -> bool:
        """Write one band.

        Returns:
            True when the picture is complete.
        Raises:
            RemoteProtocolError: not the next bytes, too many, none, or more bands than credit.
            SpoolFull: the disk is full or the folder is gone.
        """
        arrival = self._arrivals[band.job]
        view = memoryview(pixels).cast("B")
        if band.offset != arrival.received_bytes:
            raise RemoteProtocolError(
                f"A band starts at byte {band.offset}; {arrival.received_bytes} was next."
            )
        left_bytes = arrival.expected_bytes - arrival.received_bytes
        if not 0 < view.nbytes <= min(left_bytes, MAX_BAND_BYTES):
            raise RemoteProtocolError(
                f"A band has {view.nbytes} bytes; {left_bytes} are missing "
                f"and a band has at most {MAX_BAND_BYTES}."
            )
        if arrival.credit < 1:
            raise RemoteProtocolError(f"More than {BAND_CREDITS} bands came without credit.")
        self._write(band, view)
        arrival.credit -= 1
        arrival.received_bytes += view.nbytes
        if arrival.received_bytes < arrival.expected_bytes:
            arrival.credit += 1  # the caller passes it on
            return False
        del self._arrivals[band.job]
        return True

    def drop(self, job: str) -> None:
        """Stop waiting for a job's picture."""
        self._arrivals.pop(job, None)

    def _write(self, band: Band, view: memoryview) -> None:
        try:
            write_at(self._spool.path(band.job) / INPUT_FILE, band.offset, view)
        except OSError as error:
            raise disk_error(error, self._spool.folder) from error
