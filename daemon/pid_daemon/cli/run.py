# SPDX-License-Identifier: Apache-2.0
"""A run: files go to the daemon a few at a time, results are written as they come.

While one job is worked on, the next one is read, decoded and sent, so that the daemon never waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from pid_client.job import BATCH, INTERACTIVE, Finished, JobEvent, JobSpec
from pid_client.session import Session
from pid_client.tracked import Job
from pid_daemon import files
from pid_daemon.cli import detached, exits, results, texts
from pid_daemon.cli.connect import ask, connected
from pid_daemon.cli.inputs import Item, Request
from pid_daemon.cli.progress import View, show, view_for
from pid_protocol.errors import ConnectError, ConnectionLost, PidError, WorkerDied
from pid_protocol.messages import GetStatus, Queued

SPARE = 1
"""Jobs of one run that wait at the daemon while each of its workers has one."""
CANCEL_LIMIT_S = 3.0
"""How long an interrupted run waits for its jobs to be stopped."""
NUM_CONNECTIONS = 3
"""Connections in a row that may be lost before a single result has come."""
_POLL_S = 0.05


@dataclass(frozen=True)
class Underway:
    """A job that the daemon has."""

    job: Job
    """What is heard of it."""
    index: int
    """Place in the run."""
    item: Item
    """Where it comes from and goes to."""
    metadata: files.Metadata
    """The source's."""
    request: dict[str, Any]
    """What was asked for, of the source as it was then."""
    began_s: float
    """When it was submitted."""


@dataclass(frozen=True)
class Failure:
    """A file that came to nothing."""

    item: Item
    """Which one."""
    error: PidError
    """Why."""


class Run:
    """One run through all its files; it outlives a daemon that is restarted meanwhile."""

    def __init__(
        self, items: Sequence[Item], request: Request, quality: int | None, view: View
    ) -> None:
        """Get ready; nothing happens yet."""
        self._waiting = deque(enumerate(items))
        self._request = request
        self._quality = quality
        self._view = view
        self._underway: list[Underway] = []
        self._priority = INTERACTIVE if len(items) == 1 else BATCH
        self._tried_again: set[int] = set()
        self.num_done = 0
        self.failures: list[Failure] = []

    def carry_out(self, session: Session) -> None:
        """Work through the files that are left.

        Raises:
            ConnectError: the daemon is gone; another call with a new session goes on.
            KeyboardInterrupt: after this run's jobs were stopped.
        """
        try:
            in_flight = max(1, len(ask(session, GetStatus()).workers)) + SPARE
            while self._waiting or self._underway:
                if self._waiting and len(self._underway) < in_flight:
                    self._submit(session, *self._waiting.popleft())
                for work in list(self._underway):
                    self._follow(work)
        except ConnectError:
            self._waiting.extendleft((work.index, work.item) for work in reversed(self._underway))
            self._underway.clear()
            raise
        except KeyboardInterrupt:
            self._stop()
            raise

    def _submit(self, session: Session, index: int, item: Item) -> None:
        self._view.begin(index, item.source.name)
        try:
            source = files.read(item.source)
            for notice in source.notices:
                self._view.notice(index, notice)
            asked = self._request.of(item.source)
            spec = spec_of(source, self._request, item, self._priority)
            began_s = time.monotonic()
            job = session.submit(spec, source.tobytes())
        except ConnectError:
            self._waiting.appendleft((index, item))
            raise
        except PidError as error:
            self._fail(index, item, error)
            return
        self._underway.append(Underway(job, index, item, source.metadata, asked, began_s))

    def _follow(self, work: Underway) -> None:
        """Take in what is new of one job."""
        try:
            while (event := work.job.next_event(_POLL_S / len(self._underway))) is not None:
                if isinstance(event, Finished):
                    self._underway.remove(work)
                    self._write(work, event)
                    return
                show(self._view, work.index, event)
        except ConnectError:
            raise
        except WorkerDied as error:
            self._underway.remove(work)
            self._try_again(work, error)
        except PidError as error:
            self._underway.remove(work)
            self._fail(work.index, work.item, error)

    def _try_again(self, work: Underway, error: WorkerDied) -> None:
        """A worker that dies once had bad luck; twice over the same file, it is the file."""
        if work.index in self._tried_again:
            self._fail(work.index, work.item, error)
            return
        self._tried_again.add(work.index)
        self._view.notice(work.index, f"{error.message} It is tried once more.")
        self._waiting.appendleft((work.index, work.item))

    def _write(self, work: Underway, finished: Finished) -> None:
        target = work.item.target
        try:
            notices = results.save(
                finished,
                target,
                request=work.request,
                metadata=work.metadata,
                quality=self._quality,
            )
        except PidError as error:
            self._fail(work.index, work.item, error)
            return
        self.num_done += 1
        work.job.forget()
        for notice in notices:
            self._view.notice(work.index, notice)
        seconds = time.monotonic() - work.began_s
        self._view.done(work.index, results.summary(target, finished, seconds))

    def _fail(self, index: int, item: Item, error: PidError) -> None:
        self._view.failed(index, exits.about(item.source.name, error))
        self.failures.append(Failure(item, error))

    def _stop(self) -> None:
        """Cancel what this run has at the daemon, and wait until that is so."""
        deadline_s = time.monotonic() + CANCEL_LIMIT_S
        for work in self._underway:
            work.job.cancel()
        for work in self._underway:
            while time.monotonic() < deadline_s and not _is_over(work.job):
                pass  # waits inside


def run(items: Sequence[Item], request: Request, quality: int | None, *, quiet: bool) -> int:
    """Work through files and say how it went.

    Returns:
        The exit code.
    Raises:
        ConnectError: there is no daemon, or it goes away again and again.
    """
    began_s = time.monotonic()
    view = view_for(len(items), quiet=quiet)
    current = Run(items, request, quality, view)
    try:
        _with_new_sessions(current)
    except KeyboardInterrupt:
        view.close()
        click.echo("pid: Interrupted; this run's jobs were stopped.", err=True)
        return exits.INTERRUPTED
    finally:
        view.close()
    if len(items) > 1 and not quiet:
        _say_how_it_went(len(items), current.failures, time.monotonic() - began_s)
    return exits.FAILED if current.failures else exits.OK


def _with_new_sessions(current: Run) -> None:
    """Carry a run out, over a lost connection as long as there is some progress."""
    num_lost = 0
    while True:
        done_before = current.num_done
        try:
            with connected(start=True) as session:
                current.carry_out(session)
            return
        except ConnectionLost:
            num_lost = 0 if current.num_done > done_before else num_lost + 1
            if num_lost >= NUM_CONNECTIONS:
                raise
            click.echo("pid: The daemon is gone; starting again.", err=True)


def detach(items: Sequence[Item], request: Request, quality: int | None) -> int:
    """Submit files, say their jobs on standard output, and leave.

    Returns:
        The exit code.
    """
    num_failed = 0
    with connected(start=True) as session:
        for item in items:
            try:
                source = files.read(item.source)
                spec = replace(spec_of(source, request, item, BATCH), detached=True)
                note = detached.Note(item.source, item.target, request.of(item.source), quality)
                detached.keep(spec.job, note)
                _wait_until_accepted(session.submit(spec, source.tobytes()))
            except ConnectError:
                raise
            except PidError as error:
                num_failed += 1
                click.echo(exits.about(item.source.name, error), err=True)
                continue
            click.echo(spec.job)
    return exits.FAILED if num_failed else exits.OK


def spec_of(source: files.SourceImage, request: Request, item: Item, priority: str) -> JobSpec:
    """The job for one file."""
    return JobSpec(
        request.kind,
        source.format,
        request.options,
        icc=source.icc or None,
        title=item.source.name,
        priority=priority,
    )


def _wait_until_accepted(job: Job) -> None:
    for event in job.events():
        if _is_accepted(event):
            return


def _is_accepted(event: JobEvent) -> bool:
    """`queued` says that all pixels are on the daemon's disk."""
    return isinstance(event, (Queued, Finished))


def _is_over(job: Job) -> bool:
    try:
        return isinstance(job.next_event(_POLL_S), Finished)
    except PidError:
        return True


def _say_how_it_went(num_items: int, failures: Sequence[Failure], seconds: float) -> None:
    num_done = num_items - len(failures)
    done = f"{num_done} of {texts.count(num_items, 'file')} done in {texts.duration(seconds)}."
    click.echo(done, err=True)
    for failure in failures:
        click.echo(f"  {exits.about(str(failure.item.source), failure.error)}", err=True)
