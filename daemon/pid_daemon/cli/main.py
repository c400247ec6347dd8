# SPDX-License-Identifier: Apache-2.0
"""The entry: which commands there are, loaded when they are called, and how errors end."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pid_daemon.cli import exits
from pid_protocol import PROGRAM_VERSION
from pid_protocol.errors import PidError

COMMANDS: dict[str, tuple[str, str]] = {
    "upscale": ("upscale:upscale", "Enlarge pictures or whole folders."),
    "enhance": ("upscale:enhance", "More detail at the same size."),
    "plan": ("plan:plan", "Say what an upscale would do: size, time, memory."),
    "jobs": ("jobs:jobs", "List jobs and results that wait."),
    "fetch": ("jobs:fetch", "Save the result of a detached or interrupted job."),
    "cancel": ("jobs:cancel", "Stop a job."),
    "status": ("status:status", "Say what the daemon is doing, and where things lie."),
    "serve": ("daemon:serve", "Run the daemon in this terminal."),
    "stop": ("daemon:stop", "End the daemon."),
    "unload": ("daemon:unload", "Give the models' memory back."),
    "log": ("daemon:log", "Show the daemon's log."),
    "config": ("config:config", "Show or change settings."),
    "models": ("models:models", "List weights files, or choose the default one."),
    "install": ("install:install", "Put the plugin into GIMP or Krita."),
    "uninstall": ("install:uninstall", "Take the plugin out again."),
}
"""Every command: its place below `pid_daemon.cli`, and its line in the help."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, so that `pid --help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"pid_daemon.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all went well, 1 something failed, 2 wrong usage, 3 no daemon, "
    "130 interrupted.",
)
@click.version_option(PROGRAM_VERSION, prog_name="pid")
def cli() -> None:
    """PiD Layers: upscale pictures with NVIDIA's PiD or the built-in network, on your machine."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line.

    Returns:
        The exit code; every error has been said by then.
    """
    # libraries that read pictures report oddities there; none of it is for the terminal
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        outcome = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="pid",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PidError as error:
        exits.say(error)
        return exits.exit_code_of(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("pid: Interrupted.", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError:
        # `pid jobs | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except Exception as error:
        exits.say_defect(error)
        return exits.FAILED
    return outcome if isinstance(outcome, int) else exits.OK


def main() -> NoReturn:
    """Entry point of the `pid` command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
