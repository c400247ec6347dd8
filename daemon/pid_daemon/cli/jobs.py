# SPDX-License-Identifier: Apache-2.0
"""`pid jobs`, `fetch` and `cancel`: jobs that go on, or wait, without us."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pid_client.job import Finished
from pid_client.tracked import Job
from pid_daemon import files
from pid_daemon.cli import detached, exits, results, texts
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.inputs import make_folders
from pid_daemon.cli.progress import View, show, view_for
from pid_protocol.errors import DaemonNotRunning, PidError, UnknownJob
from pid_protocol.messages import Cancel, GetJobs

LAST = "last"
"""Stands for the newest job that `fetch` can follow."""
SHOWN_CHARS = 8
"""What a list shows of a job's identifier; any unique beginning is accepted."""
_ENDED_BADLY = ("failed",)
_UNFINISHED = ("receiving", "queued", "running")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def jobs(as_json: bool) -> None:
    """List every job that the daemon keeps: under way, finished and not fetched, failed."""
    try:
        with connected(start=False) as session:
            kept = _sorted(ask(session, GetJobs()).jobs)
        detached.prune([str(job["job"]) for job in kept])
    except DaemonNotRunning:
        kept = []
    if as_json:
        click.echo(json.dumps(kept, indent=2))
        return
    for job in kept:
        click.echo(_line(job))
    if not kept:
        click.echo("There are no jobs.")


@click.command()
@click.argument("job", default=LAST, metavar="[ID|last]")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="A file or a folder; default: where the job's own run would have put it.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.pass_context
def fetch(ctx: click.Context, job: str, out: Path | None, overwrite: bool, quiet: bool) -> None:
    """Save the result of a detached or interrupted job; one that still runs is waited for."""
    with connected(start=True) as session:
        found = _find(_sorted(ask(session, GetJobs()).jobs), job)
        note = detached.find(found["job"])
        name, target = str(found["job"]), _target(found, note, out)
        if target.exists() and not overwrite:
            raise exits.Refused(
                f"{target} is there already.", "--overwrite replaces it, -o names another."
            )
        make_folders([target.parent])
        view = view_for(1, quiet=quiet)
        view.begin(0, str(found.get("title") or name[:SHOWN_CHARS]))
        began_s = time.monotonic()
        try:
            followed = session.fetch(name)
            finished = _followed(followed, view)
            notices = results.save(
                finished,
                target,
                request=note.request if note else None,
                metadata=_metadata(note, view),
                quality=note.quality if note else None,
            )
            for notice in notices:
                view.notice(0, notice)
            followed.forget()
            detached.drop(name)
            view.done(0, results.summary(target, finished, time.monotonic() - began_s))
        except KeyboardInterrupt:
            view.close()
            click.echo("pid: Interrupted; the job goes on, `pid fetch` gets it later.", err=True)
            ctx.exit(exits.INTERRUPTED)
        finally:
            view.close()


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ID…|all")
def cancel(names: tuple[str, ...]) -> None:
    """Stop jobs, wherever they are; `all` means every unfinished one."""
    with connected(start=False) as session:
        kept = _sorted(ask(session, GetJobs()).jobs)
        if names == ("all",):
            chosen = [job for job in kept if job.get("state") in _UNFINISHED]
        else:
            chosen = [_find(kept, name) for name in names]
        for job in chosen:
            ask(session, Cancel(str(job["job"])))
            detached.drop(str(job["job"]))
    click.echo(f"{texts.count(len(chosen), 'job')} cancelled.")


def _followed(job: Job, view: View) -> Finished:
    """The result, with the view told what happens until then."""
    for event in job.events():
        if isinstance(event, Finished):
            return event
        show(view, 0, event)
    raise AssertionError("events() ends with Finished or an error")


def _metadata(note: detached.Note | None, view: View) -> files.Metadata | None:
    """The source's metadata, where the source is known and still there."""
    if note is None:
        return None
    try:
        return files.read(note.source).metadata
    except PidError:
        view.notice(0, "The source cannot be read any more: its EXIF block is left out.")
        return None


def _target(job: dict[str, Any], note: detached.Note | None, out: Path | None) -> Path:
    if out is not None and out.suffix and not out.is_dir():
        return out
    if note is not None:
        return note.target if out is None else out / note.target.name
    stem = Path(str(job.get("title") or "result").replace("/", "-")).stem
    return (out or Path()) / f"{stem}-{str(job['job'])[:SHOWN_CHARS]}.png"


def _find(kept: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The job that a person means.

    Raises:
        UnknownJob: none, or more than one.
    """
    if name == LAST:
        candidates = [job for job in kept if job.get("state") not in _ENDED_BADLY]
        if not candidates:
            raise UnknownJob("There is no job to fetch.", "`pid jobs` lists what is kept.")
        return candidates[-1]
    found = [job for job in kept if str(job["job"]).startswith(name)]
    if len(found) != 1:
        what = "No job begins" if not found else f"{len(found)} jobs begin"
        raise UnknownJob(f"{what} with {name!r}.", "`pid jobs` lists what is kept.")
    return found[0]


def _sorted(kept: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(kept, key=lambda job: float(job.get("submitted_s") or 0.0))


def _line(job: dict[str, Any]) -> str:
    when = time.strftime("%H:%M:%S", time.localtime(float(job.get("submitted_s") or 0.0)))
    state = str(job.get("state", "?"))
    if job.get("position"):
        state += f" {job['position']}"
    size = f"{job.get('width', '?')} x {job.get('height', '?')}"
    error = f"  {job['error']}" if job.get("error") else ""
    head = f"{str(job['job'])[:SHOWN_CHARS]}  {when}  {state:<10}  {job.get('kind', ''):<8}"
    return f"{head}  {size:<13}  {job.get('client', ''):<6}  {job.get('title', '')}{error}"
