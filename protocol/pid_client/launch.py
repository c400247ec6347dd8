# SPDX-License-Identifier: Apache-2.0
"""Find the running daemon, or start one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pid_protocol.errors import ConnectError, DaemonNotRunning, VersionMismatch

from .session import CONNECT_S, Session

START_S = 20.0
"""How long a daemon may take until it answers: a cold disk is slow."""
_POLL_S = 0.05
_FOREIGN_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD")
"""An editor sets these for its own bundled Python; they would break the daemon's."""


def connect(
    *,
    client: str,
    connection_file: Path | None = None,
    launch: Sequence[str] | None = None,
    timeout_s: float = START_S,
    notify: Callable[[str], None] | None = None,
) -> Session:
    """Connect to the daemon; start one first when none runs.

    Args:
        client: as in `Session.connect`.
        connection_file: as in `Session.connect`.
        launch: command line that starts a daemon; None = never start one.
        timeout_s: until a started daemon has to answer.
        notify: told a sentence when a daemon is being started.
    Raises:
        DaemonNotRunning: none runs, and none could be started; the hint has the command.
        BadToken, VersionMismatch: as in `Session.connect`.
    """
    waiting = connecting(
        client=client, connection_file=connection_file, launch=launch, timeout_s=timeout_s
    )
    while True:
        try:
            said = next(waiting)
        except StopIteration as end:
            session: Session = end.value
            return session
        if said and notify:
            notify(said)
        time.sleep(_POLL_S)


def connecting(
    *,
    client: str,
    connection_file: Path | None = None,
    launch: Sequence[str] | None = None,
    timeout_s: float = START_S,
) -> Iterator[str]:
    """`connect` for those who must not sleep: yields while it waits, a sentence first, and returns
    the session."""
    try:
        return Session.connect(client=client, connection_file=connection_file)
    except DaemonNotRunning as error:
        if not launch:
            raise
        problem: ConnectError = error
    process = _start(launch)
    yield "Starting the daemon"
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            return Session.connect(
                client=client, connection_file=connection_file, timeout_s=CONNECT_S
            )
        except VersionMismatch:
            raise
        except ConnectError as error:  # not there yet, or half-way there
            problem = error
        if process.poll() not in (None, 0, 1):  # 1: another one was faster, it will answer soon
            break
        yield ""
    raise DaemonNotRunning(
        f"The daemon was started and does not answer: {problem.message}", command_hint(launch)
    )


def command_hint(launch: Sequence[str]) -> str:
    """What a person can type when a program cannot start the daemon."""
    return f"Start it in a terminal and look what it says: {shlex.join(launch)}"


def _start(launch: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN_VARIABLES}
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.DETACHED_PROCESS
    try:
        return subprocess.Popen(
            list(launch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            creationflags=flags,
        )
    except OSError as error:
        raise DaemonNotRunning(
            f"The daemon could not be started from here: {error.strerror}.", command_hint(launch)
        ) from error
