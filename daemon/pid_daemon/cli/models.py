# SPDX-License-Identifier: Apache-2.0
"""`pid models`: which weights files were found, and which one is used."""

from __future__ import annotations

import json
from typing import Any

import click
from pid_protocol.messages import GetModels

from pid_daemon.cli.config import change
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.exits import Refused

DEFAULT = "default_weights"
"""The setting that `pid models use` writes."""


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List every weights file that was found: what it is, its licence, and why one is refused."""
    if ctx.invoked_subcommand is not None:
        return
    found = _found()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for model in found:
        what = " ".join(str(model.get(key) or "") for key in ("kind", "family", "version")).strip()
        click.echo(f"{model.get('id', '?')}  {what}  {model.get('state', '')}")
        for key in ("path", "licence", "problem"):
            if model.get(key):
                click.echo(f"    {model[key]}")
    if not found:
        click.echo("No weights files were found; the built-in engine needs none.")
        click.echo("`pid config set model_folders FOLDER,FOLDER` says where to look.")


@models.command()
@click.argument("identifier", metavar="ID")
def use(identifier: str) -> None:
    """Make one of the listed files the default of the engine that it belongs to."""
    known = {str(model.get("id")): model for model in _found()}
    if identifier not in known:
        raise Refused(
            f"There are no weights {identifier!r}.", f"Known: {', '.join(known) or 'none'}."
        )
    if known[identifier].get("problem"):
        raise Refused(f"{identifier} cannot be used: {known[identifier]['problem']}")
    change(DEFAULT, identifier)
    click.echo(f"{identifier} is the default now.")


def _found() -> list[dict[str, Any]]:
    with connected(start=True) as session:
        return ask(session, GetModels()).models
