# SPDX-License-Identifier: Apache-2.0
"""`pid config`: every setting with its value and where that comes from, and changing them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import tomllib

from pid_daemon.config import config_path, load_config
from pid_daemon.settings_file import NAMES, change


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Show every setting and where its value comes from; `set` and `unset` change the file."""
    if ctx.invoked_subcommand is not None:
        return
    rows = [(name, _value(value), source) for name, value, source in settings()]
    if as_json:
        click.echo(json.dumps({n: {"value": v, "source": s} for n, v, s in rows}, indent=2))
        return
    width = max(len(name) for name, _, _ in rows)
    wide = max(len(str(value)) for _, value, _ in rows)
    for name, value, source in rows:
        click.echo(f"{name:<{width}}  {value!s:<{wide}}  {source}")
    path = config_path()
    click.echo(f"\nFile: {path}{'' if path.is_file() else ' (not there yet)'}")


@config.command("set")
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.argument("value")
def set_value(name: str, value: str) -> None:
    """Write one setting into the file.

    A running daemon takes up what concerns weights, licences and the engine at once, all else at
    its next start.
    """
    change(name, value)
    click.echo(f"{name} is {_value(getattr(load_config({}), name))}.")


@config.command("unset")
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
def unset_value(name: str) -> None:
    """Take one setting out of the file: back to its default."""
    change(name, None)
    click.echo(f"{name} is {_value(getattr(load_config({}), name))}.")


def settings() -> list[tuple[str, Any, str]]:
    """Name, value and source of every setting."""
    loaded, path = load_config(), config_path()
    table = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def source(name: str) -> str:
        variable = f"PID_{name.upper()}"
        if variable in os.environ:
            return f"from {variable}"
        return "from the file" if name in table else "default"

    return [(name, getattr(loaded, name), source(name)) for name in NAMES]


def _value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return "" if value is None else value
