# SPDX-License-Identifier: Apache-2.0
"""The worker's end of the link. A reader thread takes orders; the end of the pipe is the end of the
worker.

Standard output is given another meaning before any library is imported: what a library prints goes
to the log and never into the link.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

from pid_daemon import link
from pid_protocol.errors import ProtocolError
from pid_protocol.headers import Message

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let Linux kill this process with its parent; helps even when it is stopped and cannot read
    its pipe."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Pipe:
    """Orders in, reports out."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        """Begin to read orders.

        Args:
            source: where orders come from.
            target: where reports go; used by the main thread alone.
        """
        self._source = source
        self._target = target
        self._runs: queue.SimpleQueue[link.Run] = queue.SimpleQueue()
        self._stopped: set[str] = set()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    @classmethod
    def take_over(cls) -> Pipe:
        """Turn standard input and output into the link, and let both point elsewhere."""
        source = os.fdopen(os.dup(0), "rb")
        target = os.fdopen(os.dup(1), "wb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(source, target)

    def send(self, message: Message) -> None:
        """Report something. A broker that is gone takes this process with it."""
        try:
            rest = memoryview(link.to_frame(message))
            while rest:
                rest = rest[os.write(self._target.fileno(), rest) :]
        except OSError:
            os._exit(0)

    def next_run(self, timeout_s: float) -> link.Run | None:
        """Wait for a job; None when none came in time."""
        try:
            return self._runs.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def is_stopped(self, job: str) -> bool:
        """Whether the broker wants this job stopped."""
        return job in self._stopped

    def finished(self, job: str) -> None:
        """The job has ended; a late `stop` for it means nothing."""
        self._stopped.discard(job)

    def _read(self) -> None:
        try:
            while prefix := self._source.read(link.LENGTH.size):
                body = self._source.read(link.frame_length(prefix))
                match link.from_frame(body, link.ORDERS):
                    case link.Run() as run:
                        self._runs.put(run)
                    case link.Stop(job=job):
                        self._stopped.add(job)
                    case _:
                        break
        except (OSError, ValueError, ProtocolError):
            pass
        # At once and without clean-up, whatever the main thread is in the middle of: there is
        # nobody left to work for, and the system takes back memory, device and files.
        os._exit(0)
