# SPDX-License-Identifier: Apache-2.0
"""Runs under way: each is a generator of `pid_client.run`, advanced by one timer on the main
thread.

A tick takes as many steps as fit into a slice, so that painting goes on beside a run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pid_client import launch, texts
from pid_client.job import PreviewImage
from pid_client.place import Place
from pid_client.run import Committed, RunEvent, Update
from pid_client.session import Session
from pid_protocol.errors import Cancelled, PidError

from .qt import QtCore, Signal

TICK_MS = 30
SLICE_S = 0.02
"""A tick begins no further step after that long."""

Start = Callable[[Session], Iterator[RunEvent]]
"""Begins a run on a connection."""


class Connection:
    """One session, made by a thread when it is first needed and again when it is lost."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._session: Session | None = None

    def connect(self) -> Session:
        """The session; starts a daemon when none runs. Blocks: never on the main thread.

        Raises:
            ConnectError: see `pid_client.launch.connect`.
        """
        with self._lock:
            if self._session is None or self._session.is_lost:
                self._session = launch.connect(
                    client="krita",
                    connection_file=self._place.connection_file,
                    launch=self._place.launch or None,
                )
            return self._session

    def waiting(self) -> Iterator[Session | None]:
        """`connect` in a thread of its own: yields None until the session is there."""
        found: list[Session | PidError] = []

        def look() -> None:
            try:
                found.append(self.connect())
            except PidError as error:
                found.append(error)

        threading.Thread(target=look, name="pid-connect", daemon=True).start()
        while not found:
            yield None
        if isinstance(found[0], PidError):
            raise found[0]
        yield found[0]

    def close(self) -> None:
        """Give the connection up; what was not submitted detached ends in the daemon."""
        if self._session is not None:
            self._session.close()


class Run(QtCore.QObject):
    """One run, as widgets see it."""

    changed = Signal()
    """Text, fraction, preview or state is new."""

    def __init__(self, title: str, steps: Iterator[RunEvent], parent: Any = None) -> None:
        super().__init__(parent)
        self.title = title
        self.text = texts.CONNECTING
        self.fraction = 0.0
        self.preview: PreviewImage | None = None
        self.results: tuple[Any, ...] = ()
        self.error: PidError | None = None
        self.is_over = False
        self.again: Callable[[], Any] | None = None
        """Begins the same run anew; None = it cannot be repeated."""
        self._steps = steps

    def step(self) -> bool:
        """Advance once; returns whether something happened."""
        try:
            event = next(self._steps)
        except StopIteration:
            self._end(None)
            return True
        except PidError as error:
            self._end(error)
            return True
        if isinstance(event, PreviewImage):
            self.preview = event
        elif isinstance(event, Update):
            if (event.text, event.fraction) == (self.text, self.fraction):
                return True
            self.text, self.fraction = event.text, event.fraction
        elif isinstance(event, Committed):
            self.results, self.fraction = event.results, 1.0
        else:
            return False
        self.changed.emit()
        return True

    def cancel(self) -> None:
        """Stop it: the daemon ends the work, the document stays as it is."""
        if not self.is_over:
            self._steps.close()  # type: ignore[attr-defined]  # they are generators
            self._end(Cancelled("Cancelled."))

    def _end(self, error: PidError | None) -> None:
        self.is_over, self.error = True, error
        self.text = texts.DONE if error is None else error.message
        self.changed.emit()


class Runs(QtCore.QObject):
    """All runs of this Krita, oldest first."""

    changed = Signal()
    """A run was added, or one ended."""

    def __init__(self, connection: Connection, parent: Any = None) -> None:
        super().__init__(parent)
        self.all: list[Run] = []
        self._connection = connection
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    def begin(self, title: str, start: Start) -> Run:
        """Add a run; it connects first, without holding anything up."""
        run = Run(title, self._steps(start), self)
        self.all.append(run)
        self._timer.start()
        self.changed.emit()
        return run

    def remove(self, run: Run) -> None:
        """Take an ended run off the list."""
        self.all.remove(run)
        self.changed.emit()

    def cancel_all(self) -> None:
        """Stop everything: Krita is closing."""
        for run in self.all:
            run.cancel()

    def _steps(self, start: Start) -> Iterator[RunEvent]:
        for session in self._connection.waiting():
            if session is None:
                yield None
            else:
                yield from start(session)

    def _tick(self) -> None:
        end_s = time.perf_counter() + SLICE_S
        active = [run for run in self.all if not run.is_over]
        for run in active:
            while not run.is_over and run.step() and time.perf_counter() < end_s:
                pass
        if any(run.is_over for run in active):
            self.changed.emit()
        if all(run.is_over for run in self.all):
            self._timer.stop()
