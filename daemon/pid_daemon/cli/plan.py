# SPDX-License-Identifier: Apache-2.0
"""`pid plan` and `--dry-run`: what a job would do, asked of the daemon without any work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pid_client import texts as client_texts
from pid_client.options import UPSCALE
from pid_daemon import files
from pid_daemon.cli import exits, texts
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.inputs import Item, Request
from pid_daemon.cli.options import SectionCommand, chosen, job_options
from pid_daemon.cli.weights import settle, weights_options
from pid_protocol.errors import PidError
from pid_protocol.messages import GetPlan


@click.command(cls=SectionCommand)
@job_options(UPSCALE)
@weights_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def plan(path: Path, as_json: bool, **arguments: Any) -> None:
    """Say what upscaling a picture would do: size, engine, tiles, time, memory."""
    image = files.read(path).format
    request = settle(Request(UPSCALE, chosen(UPSCALE, arguments)), arguments)
    with connected(start=True) as session:
        answer = ask(session, GetPlan(UPSCALE, image, request.options))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(answer), indent=2))
        return
    click.echo(f"{path.name}: {image.width} × {image.height} px, {image.channels}, {image.depth}")
    click.echo(f"  becomes {client_texts.plan_line(answer)}")
    for notice in answer.notices:
        click.echo(f"  {notice}")


def show(items: Sequence[Item], request: Request) -> int:
    """Say what a run would do, file by file.

    Returns:
        The exit code.
    """
    num_failed, seconds = 0, 0.0
    with connected(start=True) as session:
        for item in items:
            there = " (there already)" if item.target.exists() else ""
            try:
                image = files.read(item.source).format
                answer = ask(session, GetPlan(request.kind, image, request.options))
            except PidError as error:
                num_failed += 1
                click.echo(f"{item.source}: {error}", err=True)
                continue
            seconds += answer.expected_s
            click.echo(f"{item.source} → {item.target}{there}: {client_texts.plan_line(answer)}")
    if len(items) > 1:
        click.echo(f"{texts.count(len(items), 'file')}, about {texts.duration(seconds)}.")
    return exits.FAILED if num_failed else exits.OK
