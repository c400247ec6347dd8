# SPDX-License-Identifier: Apache-2.0
"""`pid install` and `pid uninstall`."""

from __future__ import annotations

from pathlib import Path

import click

from pid_daemon.cli.connect import connection_file
from pid_daemon.cli.exits import FAILED, Refused
from pid_daemon.install import EDITORS, Profile, profiles_of, put, take_out

_EDITOR = click.argument("editor", type=click.Choice(list(EDITORS)))
_INTO = click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="GIMP's plug-ins folder or Krita's resource folder, instead of every profile found.",
)


@click.command()
@_EDITOR
@_INTO
def install(editor: str, into: Path | None) -> None:
    """Put the plugin into every profile of GIMP or Krita, in place of an older one."""
    place = connection_file()
    for profile in _profiles(editor, into):
        notes = put(profile, place)
        click.echo(f"{profile.label}: {profile.folder}")
        for note in notes:
            click.echo(f"  {note}")


@click.command()
@_EDITOR
@_INTO
@click.pass_context
def uninstall(ctx: click.Context, editor: str, into: Path | None) -> None:
    """Take the plugin out of every profile of GIMP or Krita."""
    removed = [profile for profile in _profiles(editor, into) if take_out(profile)]
    for profile in removed:
        click.echo(f"{profile.label}: removed from {profile.root}")
    if not removed:
        click.echo(f"The plugin is not installed in {EDITORS[editor].label}.")
        ctx.exit(FAILED if into is not None else 0)


def _profiles(name: str, into: Path | None) -> list[Profile]:
    editor = EDITORS[name]
    if into is not None:
        return [Profile(editor, into.absolute(), editor.label)]
    found = profiles_of(editor)
    if not found:
        raise Refused(f"No profile of {editor.label} was found.", editor.missing)
    return found
