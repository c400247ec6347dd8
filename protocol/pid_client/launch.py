# SPDX-License-Identifier: Apache-2.0
"""Find the running daemon, or start one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pid_protocol import discovery
from pid_protocol.errors import ConnectError, DaemonNotRunning, VersionMismatch

from .session import CONNECT_S, Session

START_S = 20.0
"""How long a daemon may take until it answers: a cold disk is slow."""
_POLL_S = 0.05
_OTHER_S = 5.0
"""How long to go on looking after our own process ended: another one may have been faster."""
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
    process = _start(launch, connection_file)
    yield "Starting the daemon"
    deadline_s = time.monotonic() + timeout_s
    has_ended = False
    while time.monotonic() < deadline_s:
        try:
            return Session.connect(
                client=client, connection_file=connection_file, timeout_s=CONNECT_S
            )
        except VersionMismatch:
            raise
        except ConnectError as error:  # not there yet, or half-way there
            problem = error
        if not has_ended and process.poll() is not None:
            has_ended = True
            deadline_s = min(deadline_s, time.monotonic() + _OTHER_S)
        yield ""
    raise DaemonNotRunning(
        f"The daemon was started and does not answer: {problem.message}", command_hint(launch)
    )


def command_hint(launch: Sequence[str]) -> str:
    """What a person can type when a program cannot start the daemon."""
    return f"Start it in a terminal and look what it says: {shlex.join(launch)}"


def is_sandboxed() -> bool:
    """Whether this program sees a file system of its own, in which the daemon's command means
    nothing."""
    return os.path.exists("/.flatpak-info") or "SNAP" in os.environ


def _start(launch: Sequence[str], connection_file: Path | None) -> subprocess.Popen[bytes]:
    if is_sandboxed():
        raise DaemonNotRunning(
            "No daemon is running, and a program in a sandbox cannot start it.",
            command_hint(launch),
        )
    environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN_VARIABLES}
    if connection_file is not None:
        environment[discovery.OVERRIDE] = str(connection_file)
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.DETACHED_PROCESS
    try:
        process = subprocess.Popen(
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
    # Waits so that no dead process is left behind when the daemon ends before this program does.
    threading.Thread(target=process.wait, name="pid-launch", daemon=True).start()
    return process
