# SPDX-License-Identifier: Apache-2.0
"""`pid serve`, `stop`, `unload` and `log`: the daemon's life."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import TextIO

import click
import psutil

from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.exits import FAILED, Refused
from pid_daemon.config import load_config
from pid_daemon.logs import LOG_NAME
from pid_protocol.errors import DaemonNotRunning
from pid_protocol.messages import GetStatus, Shutdown, Unload

END_LIMIT_S = 15.0
"""How long `stop` waits for the process to be gone."""
END_INTERVAL_S = 0.05
FOLLOW_INTERVAL_S = 0.3


@click.command()
@click.option("--device", metavar="NAME", help="auto, cpu, cuda:0, or several by commas.")
@click.option(
    "--keep-alive",
    "keep_alive_s",
    type=float,
    metavar="SECONDS",
    help="How long idle models stay loaded; 0 = not at all, -1 = for ever.",
)
@click.option(
    "--memory-budget",
    "memory_budget_mib",
    type=click.IntRange(0),
    metavar="MIB",
    help="What loaded models may hold on a device; 0 = what is free.",
)
@click.option(
    "--connection-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where clients find the daemon; plugins name the place that they were installed with.",
)
@click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")
@click.pass_context
def serve(ctx: click.Context, **flags: object) -> None:
    """Run the daemon in this terminal until Ctrl-C or `pid stop`.

    Clients start it by themselves; this is for watching it, or for a service manager.
    """  # fmt: skip
    from pid_daemon.broker.server import serve as run

    config = load_config(flags)
    ctx.exit(run(config, echo=sys.stderr.isatty()))


@click.command()
@click.option("--force", is_flag=True, help="Cancel the jobs that are under way.")
def stop(force: bool) -> None:
    """End the daemon; results that were not fetched are kept."""
    try:
        with connected(start=False) as session:
            process = ask(session, GetStatus()).pid
            ask(session, Shutdown(force))
    except DaemonNotRunning:
        click.echo("No daemon is running.")
        return
    if not _has_ended(process):
        raise Refused(
            f"The daemon, process {process}, has not ended after {END_LIMIT_S:.0f} s.",
            "`pid log` says what it is doing.",
        )
    click.echo("The daemon has ended.")


def _has_ended(process: int) -> bool:
    """Wait for another program's child; one that its parent has not looked after yet has ended."""
    deadline_s = time.monotonic() + END_LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(END_INTERVAL_S)
    return False


@click.command()
def unload() -> None:
    """End the workers as soon as they are idle: all memory they hold is given back."""
    try:
        with connected(start=False) as session:
            ask(session, Unload())
    except DaemonNotRunning:
        click.echo("No daemon is running, so nothing is loaded.")
        return
    click.echo("Idle workers end now, working ones after their job.")


@click.command()
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="How many of the last lines.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new ones until Ctrl-C.")
@click.option("--path", "only_path", is_flag=True, help="Say only where it is.")
@click.pass_context
def log(ctx: click.Context, lines: int, follow: bool, only_path: bool) -> None:
    """Show the daemon's log."""  # fmt: skip
    path = load_config().log_folder / LOG_NAME
    if only_path:
        click.echo(path)
        return
    if not path.is_file():
        click.echo(f"There is no log yet; it will be {path}.", err=True)
        ctx.exit(FAILED)
    with open(path, encoding="utf-8", errors="replace") as file:
        click.echo("".join(deque(file, maxlen=lines)), nl=False)
        if follow:
            _follow(file, path)


def _follow(file: TextIO, path: Path) -> None:
    """Show what is appended; a rotated log is taken up at its new start."""
    try:
        while True:
            text = file.read()
            if text:
                click.echo(text, nl=False)
                continue
            time.sleep(FOLLOW_INTERVAL_S)
            if path.is_file() and path.stat().st_size < file.tell():
                file.seek(0)
    except KeyboardInterrupt:
        return
