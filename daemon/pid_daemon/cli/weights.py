# SPDX-License-Identifier: Apache-2.0
"""Weights for one run, and the question about their licence, before any picture is read.

A job carries names of weights and never paths: a file that lies outside the model folders is noted
for the daemon first, which then has a name for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pid_client import licence
from pid_client.session import Session
from pid_core.inspect import BACKBONES, Declared
from pid_daemon import named_files
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.declare import file_of, keep_word
from pid_daemon.cli.exits import Refused
from pid_daemon.cli.inputs import Request
from pid_daemon.cli.options import F, SectionOption
from pid_protocol.errors import LicenceNotAccepted
from pid_protocol.messages import GetModels, GetPlan
from pid_protocol.pixels import PixelFormat

WEIGHTS = "Weights"
_FAMILIES = [row.name for row in BACKBONES.values() if row.vae]
KINDS = {"weights": "pid", "vae": "vae", "text_encoder": "text-encoder"}
"""What each option has to name."""
PROBE = PixelFormat(64, 64)
"""A picture that fits everywhere: only the engine is asked about."""
PROBED = ("engine", "weights", "prompt", "negative_prompt")
"""Dials that decide whether an engine can be used."""


def weights_options(function: F) -> F:
    """Decorate a command with the files of one run that are no dials, and the licence."""
    declarations: list[Callable[[F], F]] = [
        _option("--vae", metavar="NAME|FILE",
                help="VAE for this run: a name from `pid models`, or a file. So may --weights."),
        _option("--family", type=click.Choice(_FAMILIES),
                help="Latent family of the file in --weights, where its name does not say; kept."),
        _option("--text-encoder", metavar="NAME|FILE", help="Text encoder for this run."),
        _option("--accept-licence", is_flag=True,
                help="Accept the licence of the weights, once for all runs; else it is asked."),
    ]  # fmt: skip
    for declare in reversed(declarations):
        function = declare(function)
    return function


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, cls=SectionOption, section=WEIGHTS, **settings)


def settle(request: Request, arguments: Mapping[str, Any]) -> Request:
    """Turn files into names, see that the engine can be used, and ask for its licence.

    Args:
        request: as the command line says; its dial `weights` may name a file.
        arguments: all options of the command.
    Returns:
        The request with names that the daemon knows.
    Raises:
        Refused: a file is not there, or is not what the option takes.
        LicenceNotAccepted: the person does not accept, or cannot be asked.
        PidError: why the engine cannot be used.
    """
    wanted = {
        "weights": request.options.get("weights"),
        "vae": arguments["vae"],
        "text_encoder": arguments["text_encoder"],
    }
    given = {option: text for option, text in wanted.items() if text}
    if arguments["family"]:
        if not given.get("weights"):
            raise Refused("--family says what the file in --weights is.", "Name the file, too.")
        keep_word(file_of(str(given["weights"])), Declared(family=arguments["family"]))
    if not given and request.options.get("engine") != "pid":
        return request
    with connected(start=True) as session:
        ask(session, GetModels())  # a file may have come since the daemon looked
        names = [name for option, text in given.items() for name in _names(session, option, text)]
        if names:
            request = replace(request, options={**request.options, "weights": ",".join(names)})
        dials = {name: request.options[name] for name in PROBED if name in request.options}
        _ask_once(session, GetPlan(request.kind, PROBE, dials), bool(arguments["accept_licence"]))
    return request


def _ask_once(session: Session, probe: GetPlan, accepts: bool) -> None:
    try:
        ask(session, probe)
        return
    except LicenceNotAccepted as error:
        question = licence.question_about(error)
        if question is None:
            raise
        if not accepts and not sys.stdin.isatty():
            raise LicenceNotAccepted(
                f"{error.message} {question.licence.terms}",
                "--accept-licence accepts it once for all runs; the engine compact is free for "
                "any use.",
            ) from error
        if not accepts and not click.confirm(question.text, err=True):
            raise LicenceNotAccepted(
                "The licence was not accepted, so nothing was done.",
                "--engine compact does without these weights.",
            ) from error
        licence.accept(session, question.licence)
    ask(session, probe)


def _names(session: Session, option: str, text: str) -> list[str]:
    """The daemon's names for what an option says."""
    parts = [text] if Path(text).expanduser().exists() else text.split(",")
    return [_name(session, option, part.strip()) for part in parts if part.strip()]


def _name(session: Session, option: str, text: str) -> str:
    path = _file(text)
    row = _row(session, text, path)
    if row is None and path is not None:
        named_files.note(path)
        row = _row(session, text, path)
    flag = f"--{option.replace('_', '-')}"
    if row is None:
        raise Refused(
            f"{flag}: there is neither a file nor a model {text!r}.",
            "`pid models` lists what is known.",
        )
    if row["state"] != "ready":
        problem = row.get("problem") or "it holds no weights that are known here."
        raise Refused(f"{flag}: {text} cannot be used: {problem}", str(row.get("hint") or ""))
    # one option may name everything, by commas; the daemon sees by the rows which is which
    if row["kind"] != KINDS[option] and option != "weights":
        raise Refused(
            f"{flag}: {text} is a {row['kind']} file of the family {row['family'] or 'unknown'}, "
            f"not a {KINDS[option]} file."
        )
    return str(row["id"])


def _file(text: str) -> Path | None:
    path = Path(text).expanduser()
    if path.is_dir():  # as the hub lays a split file out
        path = next(iter(sorted(path.glob("*.safetensors"))), path)
    return path.absolute() if path.is_file() else None


def _row(session: Session, text: str, path: Path | None) -> dict[str, Any] | None:
    real = os.path.realpath(path) if path is not None else ""
    for row in ask(session, GetModels()).models:
        if row["id"] == text or (real and os.path.realpath(str(row["path"])) == real):
            return row
    return None
