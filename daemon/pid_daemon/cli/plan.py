# SPDX-License-Identifier: Apache-2.0
"""`pid plan` and `--dry-run`: what a job would do, asked of the daemon without any work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pid_client.options import UPSCALE
from pid_protocol.errors import PidError
from pid_protocol.messages import GetPlan, Plan

from pid_daemon import files
from pid_daemon.cli import exits, texts
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.inputs import Item, Request
from pid_daemon.cli.options import SectionCommand, chosen, job_options


@click.command(cls=SectionCommand)
@job_options(UPSCALE)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def plan(path: Path, as_json: bool, **arguments: Any) -> None:
    """Say what upscaling a picture would do: size, engine, tiles, time, memory."""
    image = files.read(path).format
    with connected(start=True) as session:
        answer = ask(session, GetPlan(UPSCALE, image, chosen(UPSCALE, arguments)))
    if as_json:
        click.echo(json.dumps(_table(answer), indent=2))
        return
    click.echo(f"{path.name}: {image.width} x {image.height} px, {image.channels}, {image.depth}")
    click.echo(f"  becomes {sentence(answer)}")
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
            click.echo(f"{item.source} → {item.target}{there}: {sentence(answer)}")
    if len(items) > 1:
        click.echo(f"{texts.count(len(items), 'file')}, about {texts.duration(seconds)}.")
    return exits.FAILED if num_failed else exits.OK


def sentence(answer: Plan) -> str:
    """A plan in one line."""
    parts = [f"{answer.width} x {answer.height} px by {answer.engine}"]
    parts.append(texts.count(answer.tiles, "tile"))
    if answer.expected_s:
        parts.append(f"about {texts.duration(answer.expected_s)}")
    if answer.expected_bytes:
        free = f" of {texts.size(answer.free_bytes)} free" if answer.free_bytes else ""
        parts.append(f"{texts.size(answer.expected_bytes)}{free}")
    return ", ".join(parts)


def _table(answer: Plan) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(answer)
