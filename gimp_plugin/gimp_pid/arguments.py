# SPDX-License-Identifier: Apache-2.0
"""Rows of the options table as arguments of a procedure, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gi.repository import Gimp, GObject

from pid_client.options import Option, options_for

SHOW_HIDDEN = "PID_HIDDEN_CHOICES"
"""Environment variable; when it is set, choices for tests and benchmarks are allowed as well."""
_TAKEN = "chlorst"
"""Mnemonics of the dialog's buttons."""
_READ_WRITE = GObject.ParamFlags.READWRITE


def declare(procedure: Gimp.Procedure, kind: str) -> None:
    """Give a procedure one argument for each row of a kind of job."""
    used = set(_TAKEN)
    for row in options_for(kind):
        label = _with_mnemonic(row.label, used)
        texts = (property_name(row), label, row.help)
        if row.choices:
            procedure.add_choice_argument(*texts, _choice(row), row.default, _READ_WRITE)
        elif row.type is bool:
            procedure.add_boolean_argument(*texts, row.default, _READ_WRITE)
        elif row.type is int:
            procedure.add_int_argument(*texts, row.low, row.high, row.default, _READ_WRITE)
        elif row.type is float:
            procedure.add_double_argument(*texts, row.low, row.high, row.default, _READ_WRITE)
        else:
            procedure.add_string_argument(*texts, row.default, _READ_WRITE)


def property_name(row: Option) -> str:
    """A row's name as GIMP spells it."""
    return row.name.replace("_", "-")


def values(config: Gimp.ProcedureConfig, kind: str) -> dict[str, Any]:
    """The rows as they are set in a configuration."""
    found = {row: config.get_property(property_name(row)) for row in options_for(kind)}
    return {row.name: row.default if value is None else value for row, value in found.items()}


def assign(config: Gimp.ProcedureConfig, kind: str, options: Mapping[str, Any]) -> None:
    """Set the rows that are given, as far as this version still has them."""
    for row in options_for(kind):
        if isinstance(options.get(row.name), row.type):
            config.set_property(property_name(row), options[row.name])


def _choice(row: Option) -> Gimp.Choice:
    choice = Gimp.Choice.new()
    hidden = row.hidden_choices if os.environ.get(SHOW_HIDDEN) else ()
    for i, name in enumerate(row.choices + hidden):
        choice.add(name, i, name.replace("-", " ").capitalize(), "")
    return choice


def _with_mnemonic(label: str, used: set[str]) -> str:
    """Underline the first letter that no other row of the dialog has."""
    for i, letter in enumerate(label.lower()):
        if letter.isascii() and letter.isalpha() and letter not in used:
            used.add(letter)
            return f"{label[:i]}_{label[i:]}"
    return label
