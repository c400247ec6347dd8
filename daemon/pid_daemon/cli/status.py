# SPDX-License-Identifier: Apache-2.0
"""`pid status`: the daemon, its workers and jobs, the editors, and where things lie."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import sys
from typing import Any

import click

from pid_daemon.cli import texts
from pid_daemon.cli.connect import ask, connected, connection_file
from pid_daemon.cli.exits import NO_DAEMON
from pid_daemon.config import config_path, load_config
from pid_daemon.install import EDITORS, Installed, inspect, profiles_of
from pid_protocol import PROGRAM_VERSION
from pid_protocol.errors import DaemonNotRunning
from pid_protocol.messages import GetStatus, Status

_LIBRARIES = ("torch", "numpy", "pillow", "imagecodecs", "diffusers", "transformers")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Say what the daemon is doing, what is loaded, and where things lie.

    The exit code is 3 when no daemon is running; that is no fault: clients start it themselves.
    """
    answer: Status | None = None
    try:
        with connected(start=False) as session:
            answer = ask(session, GetStatus())
    except DaemonNotRunning:
        pass
    editors = [
        found for editor in EDITORS.values() for p in profiles_of(editor) if (found := inspect(p))
    ]
    if as_json:
        click.echo(json.dumps(_report(answer, editors), indent=2))
    else:
        for line in _lines(answer, editors):
            click.echo(line)
    if answer is None:
        ctx.exit(NO_DAEMON)


def _report(answer: Status | None, editors: list[Installed]) -> dict[str, Any]:
    return {
        "running": answer is not None,
        "daemon": None if answer is None else dataclasses.asdict(answer),
        "editors": [
            {
                "editor": found.profile.editor.name,
                "profile": found.profile.label,
                "folder": str(found.profile.folder),
                "version": found.version,
                "matches": found.matches,
            }
            for found in editors
        ],
        "places": _places(answer),
        "versions": _versions(),
    }


def _lines(answer: Status | None, editors: list[Installed]) -> list[str]:
    if answer is None:
        lines = ["No daemon is running; it starts by itself when something needs it."]
    else:
        up = texts.duration(answer.uptime_s)
        lines = [f"Daemon {answer.version}, process {answer.pid}, running for {up}"]
        if answer.version != PROGRAM_VERSION:
            lines.append(
                f"  This is {PROGRAM_VERSION}: `pid stop` lets the next job start the new one."
            )
        lines += [f"  {_worker(worker)}" for worker in answer.workers]
        jobs = [f"{number} {state}" for state, number in answer.jobs.items() if number]
        lines.append(f"  Jobs: {', '.join(jobs) or 'none'}")
        lines.append(f"  Disk in use for pictures: {texts.size(answer.spool_bytes)}")
    lines += ["", "Editors"]
    for found in editors:
        match = (
            ""
            if found.matches
            else f"; differs from this one: pid install {found.profile.editor.name}"
        )
        version = found.version or "unknown version"
        lines.append(f"  {found.profile.label}: {version}{match}  {found.profile.folder}")
    if not editors:
        lines.append("  The plugin is installed in none: pid install gimp, pid install krita")
    for title, table in (("Places", _places(answer)), ("Versions", _versions())):
        lines += ["", title, *(f"  {name:<14} {value}" for name, value in table.items())]
    return lines


def _worker(worker: dict[str, Any]) -> str:
    parts = [str(worker.get("state", "?"))]
    if worker.get("engine"):
        parts.append(f"{worker['engine']} loaded")
    if worker.get("resident_bytes"):
        parts.append(texts.size(float(worker["resident_bytes"])))
    expires = worker.get("expires_s")
    if isinstance(expires, (int, float)) and expires >= 0:
        parts.append(f"ends in {texts.duration(expires)} unless needed")
    return f"{worker.get('device', 'device ?')}: {', '.join(parts)}"


def _places(answer: Status | None) -> dict[str, str]:
    config = load_config()
    places = {
        "connection": str(connection_file()),
        "config": str(config_path()),
        "log": str(config.log_folder),
        "spool": str(config.spool_folder),
    }
    told = answer.paths if answer is not None else {}
    return places | {name: path for name, path in told.items() if path}


def _versions() -> dict[str, str]:
    """From the installed packages' metadata: nothing is imported for it."""
    versions = {"pid-layers": PROGRAM_VERSION, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions | {"system": f"{platform.system()} {platform.release()}", "prefix": sys.prefix}
