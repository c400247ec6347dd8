# SPDX-License-Identifier: Apache-2.0
"""Changing the settings file. The command line does it for a person; the broker for a licence that
a person accepted in an editor."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from pathlib import Path

import tomllib

from pid_daemon.config import Config, config_path, load_config
from pid_protocol.errors import InternalError, InvalidRequest

NAMES = tuple(spec.name for spec in dataclasses.fields(Config) if spec.name != "config_file")
"""Settings that the file may have."""


def change(name: str, value: str | None) -> None:
    """Set a line of the settings file, or take it out; all other lines stay as they are.

    Raises:
        InvalidRequest: the value is of the wrong type; the file is left alone.
        InternalError: the file cannot be written.
    """
    if name not in NAMES:
        raise InvalidRequest(f"There is no setting {name!r}.", f"Settings: {', '.join(NAMES)}.")
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
    write_whole(path, text)


def accept_licence(name: str) -> None:
    """Remember that a licence was accepted.

    Raises:
        InvalidRequest, InternalError: as `change`.
    """
    accepted = load_config().accepted_licences
    if name not in accepted:
        change("accepted_licences", ",".join((*accepted, name)))


def write_whole(path: Path, text: str) -> None:
    """Write a small file whole or not at all.

    Raises:
        InternalError: the system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".pid-", delete=False
        ) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise InternalError(
            f"{path} cannot be written: {error.strerror or error}.", "Make room, or allow writing."
        ) from error


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
