# SPDX-License-Identifier: Apache-2.0
"""The command line's connection to the daemon, through the same client that the plugins use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import overload

import click

from pid_client import launch
from pid_client.session import Session
from pid_daemon.config import load_config
from pid_daemon.install.place import launch_command
from pid_protocol import discovery
from pid_protocol.errors import RemoteProtocolError
from pid_protocol.headers import Message
from pid_protocol.messages import (
    Cancel,
    GetJobs,
    GetModels,
    GetPlan,
    GetStatus,
    Jobs,
    Models,
    Ok,
    Plan,
    Shutdown,
    Status,
    Unload,
)

CLIENT = "cli"
"""What `pid status` calls us."""
_ANSWERS: dict[type[Message], type[Message]] = {
    GetStatus: Status,
    GetJobs: Jobs,
    GetPlan: Plan,
    GetModels: Models,
}
"""What answers a request; all others are answered by `ok`."""


def connection_file() -> Path:
    """Where the daemon leaves its endpoints."""
    return load_config().connection_file or discovery.default_path()


def connected(*, start: bool) -> Session:
    """Connect to the daemon.

    Args:
        start: whether to start one when none runs.
    Raises:
        DaemonNotRunning: none runs, or none could be started.
        BadToken, VersionMismatch: what answers cannot be used.
    """
    return launch.connect(
        client=CLIENT,
        connection_file=connection_file(),
        launch=launch_command() if start else None,
        notify=_notify,
    )


@overload
def ask(session: Session, message: GetStatus) -> Status: ...
@overload
def ask(session: Session, message: GetJobs) -> Jobs: ...
@overload
def ask(session: Session, message: GetPlan) -> Plan: ...
@overload
def ask(session: Session, message: GetModels) -> Models: ...
@overload
def ask(session: Session, message: Cancel | Unload | Shutdown) -> Ok: ...


def ask(session: Session, message: Message) -> Message:
    """Send a request and wait for the answer that belongs to it.

    Raises:
        PidError: the daemon refuses, or is gone.
    """
    answer = session.request(message)
    expected = _ANSWERS.get(type(message), Ok)
    if not isinstance(answer, expected):
        raise RemoteProtocolError(
            f"The daemon answered {message.type!r} with {answer.type!r}, not {expected.type!r}."
        )
    return answer


def _notify(sentence: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{sentence}.", err=True)
