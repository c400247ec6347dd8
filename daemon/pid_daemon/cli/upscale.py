# SPDX-License-Identifier: Apache-2.0
"""`pid upscale` and `pid enhance`: settle what is to be done, then hand it to the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pid_client.options import ENHANCE, UPSCALE
from pid_daemon.cli import exits, inputs
from pid_daemon.cli.options import FILES, F, SectionCommand, SectionOption, chosen, job_options
from pid_daemon.cli.weights import settle, weights_options
from pid_daemon.files.formats import FORMATS

_NAMES = [fmt.name for fmt in FORMATS]
_PATH = click.Path(path_type=Path)


def file_options(function: F) -> F:
    """Decorate a command with what it reads and where it writes."""
    declarations: list[Callable[[F], F]] = [
        click.argument("paths", nargs=-1, required=True, metavar="FILE… | FOLDER", type=_PATH),
        _option("-o", "--out", type=_PATH, metavar="OUT",
                help="A file for one input, a folder for several; default: beside each input."),
        _option("-r", "--recursive", is_flag=True, help="Look into folders below folders, too."),
        _option("--overwrite", is_flag=True, help="Make results that are there already again."),
        _option("--skip", is_flag=True, help="Leave whatever is there already alone."),
        _option("--format", "format_name", type=click.Choice(_NAMES),
                help="Format of the results. [default: as OUT or the input]"),
        _option("--quality", type=click.IntRange(1, 100), metavar="1..100",
                help="Of JPEG and WebP; 100 = lossless WebP. [default: 95]"),
        _option("--detach", is_flag=True,
                help="Only submit: say the jobs and end. `pid fetch` gets the results."),
        _option("--dry-run", is_flag=True, help="Only say what would be done."),
        _option("-q", "--quiet", is_flag=True, help="Say only what went wrong."),
    ]  # fmt: skip
    for declare in reversed(declarations):
        function = declare(function)
    return function


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, cls=SectionOption, section=FILES, **settings)


@click.command(cls=SectionCommand)
@job_options(UPSCALE)
@weights_options
@file_options
@click.pass_context
def upscale(ctx: click.Context, **arguments: Any) -> None:
    """Enlarge pictures, or all pictures of a folder.

    A run goes on past a broken file and says so at the end; started again, it goes on where it
    stopped. PNG, JPEG, WebP and TIFF, in every depth that they hold; profile, EXIF and transparency
    are kept.
    """
    ctx.exit(start(UPSCALE, arguments))


@click.command(cls=SectionCommand)
@job_options(ENHANCE)
@weights_options
@file_options
@click.pass_context
def enhance(ctx: click.Context, **arguments: Any) -> None:
    """More detail in pictures at their own size."""
    ctx.exit(start(ENHANCE, arguments))


def start(kind: str, arguments: dict[str, Any]) -> int:
    """Check the whole command line, then run.

    Returns:
        The exit code.
    Raises:
        Refused, InvalidRequest: something makes no sense; nothing was started.
    """
    if arguments["overwrite"] and arguments["skip"]:
        raise exits.Refused("--overwrite and --skip contradict each other.")
    request = inputs.Request(kind, chosen(kind, arguments))
    found = inputs.find(arguments["paths"], recursive=arguments["recursive"], out=arguments["out"])
    items = inputs.targets(
        found,
        out=arguments["out"],
        suffix=inputs.suffix_for(kind, request.options),
        format_name=arguments["format_name"],
    )
    request = settle(request, arguments)
    if arguments["dry_run"]:
        from pid_daemon.cli.plan import show

        return show(items, request)
    remaining, num_done = inputs.outstanding(
        items, request, overwrite=arguments["overwrite"], skip=arguments["skip"]
    )
    inputs.make_folders(item.target.parent for item in remaining)
    if num_done and not arguments["quiet"]:
        text = f"{num_done} of {len(items)} done before" if len(items) > 1 else "It is done already"
        click.echo(f"{text}; --overwrite makes {'them' if num_done > 1 else 'it'} again.", err=True)
    if not remaining:
        return exits.OK
    from pid_daemon.cli import run

    if arguments["detach"]:
        return run.detach(remaining, request, arguments["quality"])
    return run.run(remaining, request, arguments["quality"], quiet=arguments["quiet"])
