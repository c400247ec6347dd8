# SPDX-License-Identifier: Apache-2.0
"""One worker process as the broker sees it: start, talk, watch, end. What it is given to do is the
pool's business."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence

from pid_daemon import link
from pid_protocol.errors import RemoteProtocolError
from pid_protocol.headers import Message

log = logging.getLogger(__name__)

NUM_TAIL_LINES = 20


def _environment() -> dict[str, str]:
    """The worker's environment: ours, and threads that sleep while they wait for each other.

    Threads that spin instead starve each other when an editor works beside us. Measured, 2 cores
    under load 10: 96 x 64 px take 1.2 s instead of 9 s.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}


class Life(enum.Enum):
    """Where a worker process stands."""

    OFF = "off"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LEAVING = "leaving"


class WorkerProcess:
    """A process, the pipes to it, and why it ended."""

    def __init__(
        self,
        device: str,
        arguments: Sequence[str],
        reported: Callable[[WorkerProcess, Message], None],
        ended: Callable[[WorkerProcess, str], None],
    ) -> None:
        """Describe a worker; `start` makes the process.

        Args:
            device: for its command line and the log.
            arguments: the rest of its command line.
            reported: called with this object and each message.
            ended: called once, with this object and the reason in words.
        """
        self.device = device
        self._arguments = arguments
        self._reported = reported
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._tail: deque[str] = deque(maxlen=NUM_TAIL_LINES)
        self._task: asyncio.Task[None] | None = None
        self._killed_for: str | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 = there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Make the process and follow it until it ends."""
        self._task = asyncio.get_running_loop().create_task(self._live())

    def send(self, message: Message) -> None:
        """Give an order. Orders are small and few: the pipe's buffer is never waited for."""
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(link.to_frame(message))

    def kill(self, why: str = "") -> bool:
        """End the process at once; works on a stopped one, too.

        Args:
            why: what is said of its end.
        Returns:
            Whether it was not done already.
        """
        if (
            self._killed_for is not None
            or not self._process
            or self._process.returncode is not None
        ):
            return False
        self._killed_for = why
        self._process.kill()
        return True

    async def wait(self) -> None:
        """Wait until the process is gone."""
        if self._task:
            await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # no module is taken from the folder that the daemon happens to run in
                "-m",
                "pid_daemon.worker",
                "--device",
                self.device,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(),
                # Ctrl-C in the terminal is for the broker, which ends its workers in order.
                start_new_session=True,
            )
        except OSError as error:
            self._ended(self, f"it could not be started: {error.strerror}")
            return
        assert self._process.stdout and self._process.stderr
        errors = asyncio.create_task(self._log_lines(self._process.stderr))
        complaint = await self._read(self._process.stdout)
        if complaint:
            self.kill()
        status = await self._process.wait()
        # A grandchild may hold the pipe open; what it says is not waited for.
        await asyncio.wait([errors], timeout=0.2)
        errors.cancel()
        self._ended(self, complaint or self._why(status))

    async def _read(self, stream: asyncio.StreamReader) -> str:
        """Pass messages on until the pipe closes; returns what was wrong with them, or nothing."""
        try:
            while True:
                length = link.frame_length(await stream.readexactly(link.LENGTH.size))
                body = await stream.readexactly(length)
                self._reported(self, link.from_frame(body, link.REPORTS))
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""
        except RemoteProtocolError as error:
            return f"it said something that makes no sense: {error}"

    async def _log_lines(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                text = line[-4096:].decode(errors="replace").rstrip()
                if text:
                    self._tail.append(text)
                    log.info("worker %s: %s", self.device, text)

    def _why(self, status: int) -> str:
        if self._killed_for:
            return self._killed_for
        if status < 0:
            name = signal.Signals(-status).name
            memory = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
            return f"it was ended by {name}{memory}"
        last = f": {self._tail[-1]}" if status and self._tail else ""
        return f"it ended with status {status}{last}"
