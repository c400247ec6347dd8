# SPDX-License-Identifier: Apache-2.0
"""`pid models declare`: the user's word about a file whose tensors and names leave something
open."""

from __future__ import annotations

from pathlib import Path

import click

from pid_core.inspect import BACKBONES, Declared, Description, describe
from pid_core.inspect.description import UNKNOWN
from pid_core.inspect.generations import PIXELDIT_VARIANTS, VARIANTS
from pid_daemon import words
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.exits import Refused
from pid_protocol.messages import GetModels

_VARIANTS = list(dict.fromkeys((*VARIANTS, *PIXELDIT_VARIANTS)))


@click.command()
@click.argument("name", metavar="ID|FILE")
@click.option("--family", type=click.Choice(list(BACKBONES)), help="Latent family it is made for.")
@click.option("--variant", type=click.Choice(_VARIANTS), help="Sizes it was trained on.")
@click.option(
    "--distilled/--undistilled",
    "is_distilled",
    default=None,
    help="A student of four steps, or a teacher.",
)
@click.option("--forget", is_flag=True, help="Take back what was said about the file.")
def declare(
    name: str, family: str | None, variant: str | None, is_distilled: bool | None, forget: bool
) -> None:
    """Say what a file is where neither its tensors nor its names do; the word is kept."""
    word = Declared(family, variant, is_distilled)
    if forget == (word != Declared()):
        raise Refused("Say what the file is, or --forget it.", "See `pid models declare --help`.")
    path = file_of(name)
    if forget:
        said = words.forget(path)
        click.echo(f"{path.name}: {'forgotten' if said else 'nothing was said about it'}.")
        return
    found = keep_word(path, word)
    facts = (found.role, found.family, found.variant, "" if found.is_distilled else "undistilled")
    click.echo(f"{path.name}: {', '.join(fact for fact in facts if fact)}.")


def file_of(name: str) -> Path:
    """The file that a person names, by its path or as `pid models` does.

    Raises:
        Refused: there is none.
    """
    file = Path(name).expanduser()
    if file.is_file():
        return file.absolute()
    with connected(start=True) as session:
        rows = ask(session, GetModels()).models
    row = next((row for row in rows if row["id"] == name), None)
    if row is None:
        raise Refused(f"There is neither a file nor a model {name!r}.", "See `pid models --all`.")
    return Path(str(row["path"]))


def keep_word(path: Path, word: Declared) -> Description:
    """Keep a word about a file, if the file can be what it says.

    Raises:
        Refused: it cannot; nothing is kept.
    """
    found = describe(path, words.joined(path, word))
    if found.problem or found.role == UNKNOWN:
        raise Refused(f"{path.name}: {found.problem}", found.hint)
    words.say(path, word)
    return found
