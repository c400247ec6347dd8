# SPDX-License-Identifier: Apache-2.0
"""A thread that speaks to the daemon for a window, so that the window never waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pid_protocol.errors import PidError

from .session import Session

Work = Callable[[Session], Iterator[Any]]
"""Something to do with a connection; what it yields is shown."""
Show = Callable[[Any], None]
"""Takes what a piece of work yields, or the PidError that ended it, on the window's thread."""


class Background:
    """Does one thing at a time; of what waits, only the newest of each kind is done.

    Args:
        connect: makes the connection, at the first piece of work and again when it is lost.
        deliver: has a call carried out on the window's thread, soon.
    """

    def __init__(
        self, connect: Callable[[], Session], deliver: Callable[[Callable[[], None]], None]
    ) -> None:
        self._connect = connect
        self._deliver = deliver
        self._session: Session | None = None
        self._wishes: dict[str, tuple[Work, Show]] = {}
        self._lock = threading.Lock()
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="pid-window", daemon=True)
        self._thread.start()

    def ask(self, kind: str, work: Work, show: Show) -> None:
        """Do this as soon as possible, in place of what waits under the same kind."""
        with self._lock:
            self._wishes[kind] = (work, show)
        self._bell.put(True)

    def close(self) -> Session | None:
        """Stop, and hand over the connection if there is one."""
        self._is_closing = True
        self._bell.put(False)
        self._thread.join()
        return self._session

    def _run(self) -> None:
        while self._bell.get():
            with self._lock:
                wishes, self._wishes = self._wishes, {}
            for work, show in wishes.values():
                self._do(work, show)

    def _do(self, work: Work, show: Show) -> None:
        try:
            if self._session is None or self._session.is_lost:
                self._session = self._connect()
            for step in work(self._session):
                if self._is_closing:
                    return
                self._tell(show, step)
        except PidError as error:
            self._tell(show, error)

    def _tell(self, show: Show, value: Any) -> None:
        def once() -> None:
            if not self._is_closing:
                show(value)

        self._deliver(once)
