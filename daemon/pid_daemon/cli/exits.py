# SPDX-License-Identifier: Apache-2.0
"""Exit codes, and how an error becomes one sentence on standard error."""

from __future__ import annotations

import logging
import traceback

import click

from pid_protocol.errors import Cancelled, ConnectError, InvalidRequest, PidError

OK, FAILED, USAGE, NO_DAEMON, INTERRUPTED = 0, 1, 2, 3, 130


class Refused(PidError):
    """The command makes no sense as it was given; nothing was started."""

    code = "refused"


def exit_code_of(error: PidError) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, (Refused, InvalidRequest)):
        return USAGE
    if isinstance(error, ConnectError):
        return NO_DAEMON
    return INTERRUPTED if isinstance(error, Cancelled) else FAILED


def about(name: str, error: PidError) -> str:
    """An error in a sentence that names what it is about, once."""
    return str(error) if name in error.message else f"{name}: {error}"


def say(error: PidError) -> None:
    """Show an error as one sentence and, below it, what to do next."""
    click.echo(f"pid: {error.message}", err=True)
    if error.hint:
        click.echo(f"     {error.hint}", err=True)


def say_defect(error: Exception) -> None:
    """Show a defect of ours in one sentence; the log has the traceback."""
    try:
        from pid_daemon.config import load_config

        folder = load_config().log_folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "cli.log"
        with open(path, "a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)) + "\n")
        hint = f"{path} has the details."
    except (OSError, PidError):
        logging.getLogger(__name__).debug("no log file", exc_info=True)
        hint = "The log cannot be written."
    click.echo(f"pid: A defect of this program: {type(error).__name__}: {error}", err=True)
    click.echo(f"     {hint}", err=True)
