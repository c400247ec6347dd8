# SPDX-License-Identifier: Apache-2.0
"""A job that a session follows: events for the caller, bands for the wire."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from pid_protocol.errors import PidError, RemoteProtocolError, TimedOut, from_wire
from pid_protocol.headers import Message
from pid_protocol.messages import (
    Band,
    Cancel,
    Credit,
    Error,
    Forget,
    Preview,
    Progress,
    Queued,
    Result,
)
from pid_protocol.zmtp import Bytes

from .job import Finished, JobEvent, PreviewImage, Receiving
from .transfer import Download, Upload

_POLL_S = 0.2
"""Longest wait without looking up: keeps Ctrl-C prompt where a lock cannot be interrupted."""


class Poster(Protocol):
    """Sends a request whose answer nobody waits for."""

    def post(self, message: Message) -> None:
        """Queue it."""
        ...


class Job:
    """One job of a session.

    Events are taken by one thread; `cancel` and `forget` may be called from any.
    """

    def __init__(self, name: str, session: Poster, upload: Upload | None) -> None:
        self.id = name
        self._session = session
        self._upload = upload
        self._download: Download | None = None
        self._events: queue.SimpleQueue[JobEvent | PidError] = queue.SimpleQueue()
        self._last_told: Message | None = None
        self.is_over = False
        """Whether the last event has been queued."""

    def next_event(self, timeout_s: float = 0.0) -> JobEvent | None:
        """The next thing that happened; None when nothing did in time.

        Raises:
            PidError: the job ended without a result.
        """
        try:
            event = (
                self._events.get(timeout=timeout_s) if timeout_s > 0 else self._events.get_nowait()
            )
        except queue.Empty:
            return None
        if isinstance(event, PidError):
            self._events.put(event)  # whoever asks again hears the same
            raise event
        return event

    def events(self, timeout_s: float | None = None) -> Iterator[JobEvent]:
        """All events up to `Finished`.

        Args:
            timeout_s: for the whole job; None = as long as it takes.
        Raises:
            PidError: the job ended without a result, or TimedOut.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            event = self.next_event(_POLL_S)
            if event is not None:
                yield event
                if isinstance(event, Finished):
                    return
            elif deadline_s is not None and time.monotonic() > deadline_s:
                raise TimedOut(f"The job has no result after {timeout_s:g} s.")

    def wait(self, timeout_s: float | None = None) -> Finished:
        """The result, whatever happens on the way.

        Raises:
            PidError: the job ended without a result, or TimedOut.
        """
        for event in self.events(timeout_s):
            if isinstance(event, Finished):
                return event
        raise AssertionError("events() ends with Finished or an error")

    def cancel(self) -> None:
        """Ask the daemon to stop; the job then ends with the error Cancelled."""
        self._session.post(Cancel(self.id))

    def forget(self) -> None:
        """Say that the result is in place: the daemon gives its disk space back."""
        self._session.post(Forget(self.id))

    # --- the session's thread --------------------------------------------------------------------

    def receive(
        self, message: Message, blobs: Sequence[bytes | bytearray]
    ) -> Iterator[tuple[Message, Sequence[Bytes]]]:
        """Take in what the daemon said of this job; yields what is to be sent for it."""
        match message:
            case Credit():
                if self._upload is not None:
                    for band, data in self._upload.take(message.bands):
                        yield band, [data]
            case Queued() | Progress():
                self._upload = None  # it is on the daemon's disk; the pixels here may go
                if message != self._last_told:  # the daemon repeats itself to notice closed clients
                    self._last_told = message
                    self._events.put(message)
            case Preview() if blobs:
                if len(blobs[0]) == 3 * message.width * message.height:  # a picture to look at
                    pixels = bytes(blobs[0])
                    self._events.put(PreviewImage(message.width, message.height, pixels))
            case Result():
                self._download = Download(message, bytes(blobs[0]) if blobs else None)
                yield Credit(self.id, self._download.first_credit), []
            case Band() if self._download is not None and blobs:
                yield from self._collect(self._download, message, blobs[0])
            case Error():
                self.fail(from_wire(message.code, message.message, message.hint))
            case _:
                raise RemoteProtocolError(
                    f"A {message.type!r} came at a time when it means nothing."
                )

    def fail(self, error: PidError) -> None:
        """End the job with an error."""
        if not self.is_over:
            self.is_over = True
            self._events.put(error)

    def _collect(
        self, download: Download, band: Band, data: bytes | bytearray
    ) -> Iterator[tuple[Message, Sequence[Bytes]]]:
        download.put(band, data)
        self._events.put(Receiving(download.fraction))
        if download.is_complete:
            self.is_over = True
            result = download.result
            self._events.put(Finished(result.image, download.pixels, download.icc, result.record))
        else:
            yield Credit(self.id, 1), []
