# SPDX-License-Identifier: Apache-2.0
"""Rows of the options table as options of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pid_client.options import Option, changed, options_for

F = TypeVar("F", bound=Callable[..., Any])

NEEDS_SELECTION = ("feather",)
"""Rows about a selection's edge: files have none."""
ADVANCED = "Advanced"
FILES = "Files"


class SectionOption(click.Option):
    """An option that is listed in a section of its own."""

    def __init__(self, *args: Any, section: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        """The range is the metavar already."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionCommand(click.Command):
    """A command whose help has one list of options for each section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections: the plain one first, then in the order of their first option."""
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for param in self.get_params(ctx):
            line = param.get_help_record(ctx)
            if line is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", ""), []).append(line)
        for name, lines in sections.items():
            with formatter.section(name or "Options"):
                formatter.write_dl(lines)


class HiddenChoice(click.Choice[str]):
    """A choice that accepts more than it shows."""

    def __init__(self, shown: tuple[str, ...], hidden: tuple[str, ...]) -> None:
        super().__init__(shown + hidden)
        self.shown = shown

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Only what is meant for people."""
        return f"[{'|'.join(self.shown)}]"


def rows_for(kind: str) -> tuple[Option, ...]:
    """Rows that make sense for files."""
    return tuple(
        row for row in options_for(kind) if not row.editor_only and row.name not in NEEDS_SELECTION
    )


def job_options(kind: str) -> Callable[[F], F]:
    """Decorate a command with the dials of a kind of job."""

    def decorate(function: F) -> F:
        for row in reversed(rows_for(kind)):
            function = click.option(*_declaration(row), cls=SectionOption, **_settings(row))(
                function
            )
        return function

    return decorate


def chosen(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The dials that were given and differ from their defaults: what goes over the wire.

    Raises:
        InvalidRequest: values that do not go together.
    """
    given = {row.name: arguments[row.name] for row in rows_for(kind)}
    return changed(kind, {name: value for name, value in given.items() if value is not None})


def _declaration(row: Option) -> tuple[str, str]:
    flag = f"--{row.name.replace('_', '-')}"
    return (f"{flag}/--no-{flag[2:]}" if row.type is bool else flag), row.name


def _settings(row: Option) -> dict[str, Any]:
    text = f"{row.help} [default: {_shown(row.default)}]" if row.default != "" else row.help
    settings: dict[str, Any] = {
        "default": None,
        "help": text,
        "section": ADVANCED if row.advanced else "",
    }
    if row.choices:
        settings["type"] = HiddenChoice(row.choices, row.hidden_choices)
    elif row.type is float:
        settings |= {"type": click.FloatRange(row.low, row.high), "metavar": _span(row)}
    elif row.type is int:
        low, high = int(row.low or 0), None if row.high is None else int(row.high)
        settings |= {"type": click.IntRange(low, high), "metavar": "N"}
    elif row.type is str:
        settings |= {"type": str, "metavar": "TEXT"}
    return settings


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _span(row: Option) -> str:
    return f"[{row.low:g}..{row.high:g}]"
