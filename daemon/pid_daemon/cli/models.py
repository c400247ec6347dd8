# SPDX-License-Identifier: Apache-2.0
"""`pid models`: which weights files were found, which ones are used, and their licences."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import click

from pid_client import texts as client_texts
from pid_daemon.cli import texts
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.declare import declare
from pid_daemon.cli.exits import Refused
from pid_daemon.config import load_config
from pid_daemon.settings_file import accept_licence, change
from pid_protocol.licences import LICENCES, licence
from pid_protocol.messages import GetModels, GetStatus

TITLES = {
    "pid": "PiD networks",
    "vae": "VAEs",
    "text-encoder": "Text encoders",
    "pixeldit": "PixelDiT",
    "unknown": "Other files",
}
"""Headings, in the order in which they are shown."""
SETTINGS = {"pid": "default_weights", "vae": "default_vae", "text-encoder": "default_text_encoder"}
"""What `pid models use` writes for each kind of file."""
UNRELATED = "unrelated"


@click.group(invoke_without_command=True)
@click.option("--all", "with_unrelated", is_flag=True, help="Also files of other models.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(ctx: click.Context, with_unrelated: bool, as_json: bool) -> None:
    """List every weights file that was found: what it is, what goes with it, what a PiD upscale
    still lacks, its licence, and why one is refused."""
    if ctx.invoked_subcommand is not None:
        return
    with connected(start=True) as session:
        rows = ask(session, GetModels()).models
        folders = ask(session, GetStatus()).paths.get("models", "")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [row for row in rows if with_unrelated or row["state"] != UNRELATED]
    for kind, title in TITLES.items():
        _show(title, [row for row in shown if row["kind"] == kind])
    if not shown:
        click.echo("No weights files were found; the built-in engine, compact, needs none.\n")
    num_other = len(rows) - len(shown)
    if num_other:
        count = texts.count(num_other, "file")
        click.echo(f"{count} of other models passed over; --all lists them.\n")
    _say_what_is_lacking(rows)
    _say_licences()
    click.echo("Looked into:")
    for folder in folders.split(os.pathsep):
        click.echo(f"  {folder}{'' if os.path.isdir(folder) else ' (not there)'}")
    click.echo("`pid config set model_folders FOLDER,FOLDER` adds others, such as ComfyUI's.")


@models.command()
@click.argument("identifier", metavar="ID")
def use(identifier: str) -> None:
    """Make one of the listed files the default of its kind: network, VAE or text encoder."""
    with connected(start=True) as session:
        known = {str(row["id"]): row for row in ask(session, GetModels()).models}
    row = known.get(identifier)
    if row is None:
        usable = [name for name, one in known.items() if one["state"] == "ready"]
        raise Refused(
            f"There are no weights {identifier!r}.", f"Known: {', '.join(usable) or 'none'}."
        )
    if row["state"] != "ready" or row["kind"] not in SETTINGS:
        problem = row.get("problem") or f"it is a {row['kind']} file."
        raise Refused(f"{identifier} cannot be used: {problem}", str(row.get("hint") or ""))
    change(SETTINGS[row["kind"]], str(row["path"]))
    click.echo(f"{identifier} is the default now.")
    for lack in row["lacks"]:
        click.echo(f"It still lacks {lack}.")


@models.command()
@click.argument("name", metavar="LICENCE")
@click.option("--yes", is_flag=True, help="Accept without a question.")
def accept(name: str, yes: bool) -> None:
    """Accept the licence of weights, once for all runs and editors."""
    asked = licence(name)
    question = client_texts.LICENCE_QUESTION.format(
        covers=asked.covers, title=asked.title, terms=asked.terms
    )
    if not yes and not click.confirm(question):
        raise Refused("The licence was not accepted.", "Nothing was changed.")
    accept_licence(asked.name)
    click.echo(f"{asked.title}: accepted.")


models.add_command(declare)


def _show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    click.echo(f"{title}")
    width = max(len(str(row["id"])) for row in rows)
    for row in rows:
        is_said = " (your word)" if row.get("family_from") == "your word" else ""
        what = [f"{row['family']}{is_said}", row["version"], row["variant"], row["layout"]]
        if row["kind"] == "pid" and not row["is_distilled"]:
            what.append("undistilled")
        mark = "*" if row.get("is_default") else " "
        parts = ", ".join(str(part) for part in what if part)
        size = texts.size(row["size_bytes"])
        click.echo(f"{mark} {row['id']:<{width}}  {row['state']:<9}  {size:>7}  {parts}".rstrip())
        click.echo(f"    {row['path']}")
        if row["licence"]:
            click.echo(f"    licence: {row['licence']}")
        if row["goes_with"]:
            click.echo(f"    goes with {', '.join(row['goes_with'])}")
        for lack in row["lacks"]:
            click.echo(f"    lacks {lack}")
        if row["problem"]:
            click.echo(f"    refused: {row['problem']} {row['hint']}".rstrip())
    click.echo()


def _say_what_is_lacking(rows: Sequence[dict[str, Any]]) -> None:
    if any(row.get("is_default") for row in rows):
        click.echo("* is what a PiD upscale uses; `pid models use ID` chooses another one.")
        return
    networks = [row for row in rows if row["kind"] == "pid" and row["state"] == "ready"]
    best = min(networks, key=lambda row: len(row["lacks"]), default=None)
    lacks = best["lacks"] if best else ["PiD weights, such as NVIDIA's pid_flux or pid_flux2"]
    if lacks:
        click.echo(f"A PiD upscale still lacks: {'; '.join(lacks)}.")


def _say_licences() -> None:
    accepted = load_config().accepted_licences
    for one in LICENCES.values():
        state = (
            "accepted" if one.name in accepted else f"not accepted: `pid models accept {one.name}`"
        )
        click.echo(f"{one.title} for {one.covers}: {state}.\n")
