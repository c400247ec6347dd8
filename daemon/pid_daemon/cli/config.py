# SPDX-License-Identifier: Apache-2.0
"""`pid config`: every setting with its value and where that comes from, and changing them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import click
import tomllib
from pid_protocol.errors import InvalidRequest

from pid_daemon.config import Config, config_path, load_config
from pid_daemon.files.atomic import whole_file

_NAMES = tuple(spec.name for spec in dataclasses.fields(Config) if spec.name != "config_file")


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
@click.argument("name", type=click.Choice(_NAMES), metavar="NAME")
@click.argument("value")
def set_value(name: str, value: str) -> None:
    """Write one setting into the file; a running daemon takes it up at its next start."""
    change(name, value)
    click.echo(f"{name} is {_value(getattr(load_config({}), name))}.")


@config.command("unset")
@click.argument("name", type=click.Choice(_NAMES), metavar="NAME")
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

    return [(name, getattr(loaded, name), source(name)) for name in _NAMES]


def change(name: str, value: str | None) -> None:
    """Set a line of the settings file, or take it out; all other lines stay as they are.

    Raises:
        InvalidRequest: the value is of the wrong type; the file is left alone.
        UnwritableOutput: the file cannot be written.
    """
    if name not in _NAMES:
        raise InvalidRequest(f"There is no setting {name!r}.", f"Settings: {', '.join(_NAMES)}.")
    path = config_path()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if not re.match(rf"\s*{re.escape(name)}\s*=", line)]
    if value is not None:
        _check(name, value)
        kept.append(f"{name} = {_toml(name, value)}")
    text = "\n".join(kept) + "\n" if kept else ""
    try:
        tomllib.loads(text)
    except (
        tomllib.TOMLDecodeError
    ) as error:  # a value over several lines, which we do not take apart
        raise InvalidRequest(
            f"{path} has a form that only an editor can change: {error}."
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode())


def _check(name: str, value: str) -> None:
    load_config(environment={f"PID_{name.upper()}": value, "PID_CONFIG_FILE": os.devnull})


def _toml(name: str, value: str) -> str:
    default = getattr(Config(), name)
    if isinstance(default, bool):
        return value.lower()
    if isinstance(default, (int, float)):
        number = type(default)(value)
        if number != number or number in (float("inf"), float("-inf")):
            raise InvalidRequest(f"{name} cannot be {value}.")
        return repr(number)
    if isinstance(default, tuple):
        return json.dumps([part.strip() for part in value.split(",") if part.strip()])
    return json.dumps(value, ensure_ascii=False)


def _value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return "" if value is None else value
