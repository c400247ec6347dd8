# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a run, on standard error: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol

import click

from pid_client import texts
from pid_client.job import JobEvent, Receiving
from pid_protocol.messages import Progress as Step
from pid_protocol.messages import Queued

LINE_INTERVAL_S = 10.0
"""Plain lines about one job come no more often than that."""


class View(Protocol):
    """Told about a run as it goes on. Jobs are known by their place in the run, from 0."""

    def begin(self, index: int, name: str) -> None:
        """A file is being read or sent."""
        ...

    def queued(self, index: int, position: int) -> None:
        """Its job waits."""
        ...

    def step(self, index: int, step: Step) -> None:
        """Its job goes on."""
        ...

    def receiving(self, index: int, fraction: float) -> None:
        """Its result is on the way."""
        ...

    def done(self, index: int, sentence: str) -> None:
        """Its result is written."""
        ...

    def failed(self, index: int, sentence: str) -> None:
        """It came to nothing; the sentence names it."""
        ...

    def notice(self, index: int, sentence: str) -> None:
        """Something that a person should know about it."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


def view_for(total: int, *, quiet: bool) -> View:
    """Bars when standard error is a terminal, else lines; quiet leaves only what went wrong."""
    if not quiet and sys.stderr.isatty():
        from pid_daemon.cli.bars import BarView

        return BarView(total)
    return LineView(total, quiet=quiet)


def show(view: View, index: int, event: JobEvent) -> None:
    """Hand an event of a job on to the view."""
    if isinstance(event, Queued):
        view.queued(index, event.position)
    elif isinstance(event, Step):
        view.step(index, event)
    elif isinstance(event, Receiving):
        view.receiving(index, event.fraction)


class LineView:
    """One line for each event that matters."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total = total
        self._quiet = quiet
        self._names: dict[int, str] = {}
        self._last_line_s: dict[int, float] = {}

    def begin(self, index: int, name: str) -> None:
        """Remember what it is called."""
        self._names[index] = name
        self._last_line_s[index] = time.monotonic()

    def queued(self, index: int, position: int) -> None:
        """Waiting is worth a line only when it takes long."""
        self._now_and_then(index, texts.queued(position))

    def step(self, index: int, step: Step) -> None:
        """A line now and then."""
        self._now_and_then(index, f"{step.fraction:.0%} – {texts.progress(step)}")

    def receiving(self, index: int, fraction: float) -> None:
        """Too quick for a line."""

    def done(self, index: int, sentence: str) -> None:
        """Always a line."""
        self._line(index, sentence)

    def failed(self, index: int, sentence: str) -> None:
        """Always a line, even when quiet."""
        place = f"[{index + 1}/{self._total}] " if self._total > 1 else ""
        click.echo(f"{place}{sentence}", err=True)

    def notice(self, index: int, sentence: str) -> None:
        """Always a line."""
        self._line(index, sentence)

    def close(self) -> None:
        """Nothing to put away."""

    def _now_and_then(self, index: int, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._last_line_s.get(index, now_s) >= LINE_INTERVAL_S:
            self._last_line_s[index] = now_s
            self._line(index, text)

    def _line(self, index: int, text: str) -> None:
        if not self._quiet:
            click.echo(f"{self._head(index)}: {text}", err=True)

    def _head(self, index: int) -> str:
        name = self._names.get(index, "")
        return f"[{index + 1}/{self._total}] {name}" if self._total > 1 else name
