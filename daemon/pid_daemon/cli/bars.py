# SPDX-License-Identifier: Apache-2.0
"""Progress bars: one for the run, one for each job under way."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)

from pid_client import texts
from pid_protocol.messages import Progress as Step

NAME_CHARS = 32
"""What a bar shows of a file's name."""
BAR_CHARS = 30


class BarView:
    """A `View` for terminals."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began_s = time.monotonic()
        self._names: dict[int, str] = {}
        self._tasks: dict[int, TaskID] = {}
        self._fractions: dict[int, float] = {}
        self._num_ended = 0
        # what varies in width comes last, so that nothing jumps
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=BAR_CHARS),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._all: TaskID | None = None
        if total > 1:
            self._all = self._progress.add_task("all", total=total, stage=f"0 of {total}")
        self._progress.start()

    def begin(self, index: int, name: str) -> None:
        """A new bar."""
        self._names[index] = name
        shown = name if len(name) <= NAME_CHARS else f"…{name[1 - NAME_CHARS :]}"
        self._tasks[index] = self._progress.add_task(escape(shown), total=1.0, stage="Sending")

    def queued(self, index: int, position: int) -> None:
        """Where it stands in the queue."""
        self._stage(index, texts.queued(position))

    def step(self, index: int, step: Step) -> None:
        """Move the bars."""
        self._fractions[index] = step.fraction
        self._stage(index, texts.progress(step), completed=step.fraction)
        self._move_all()

    def receiving(self, index: int, fraction: float) -> None:
        """The bar is full by then."""
        self._stage(index, texts.RECEIVING)

    def done(self, index: int, sentence: str) -> None:
        """The bar gives way to a line."""
        self._end(index)
        self._say(f"[green]✓[/] {escape(self._names.get(index, ''))}: {escape(sentence)}")

    def failed(self, index: int, sentence: str) -> None:
        """The bar gives way to a line."""
        self._end(index)
        self._say(f"[red]✗[/] {escape(sentence)}")

    def notice(self, index: int, sentence: str) -> None:
        """A line above the bars."""
        self._say(f"[yellow]![/] {escape(self._names.get(index, ''))}: {escape(sentence)}")

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _stage(self, index: int, text: str, completed: float | None = None) -> None:
        task = self._tasks.get(index)
        if task is not None:
            self._progress.update(task, stage=text, completed=completed)

    def _end(self, index: int) -> None:
        task = self._tasks.pop(index, None)
        if task is not None:
            self._progress.remove_task(task)
        self._fractions.pop(index, None)
        self._num_ended += 1
        self._move_all()

    def _move_all(self) -> None:
        """The run's bar, and how long the rest should take if it goes on like this."""
        if self._all is None:
            return
        done = self._num_ended + sum(self._fractions.values())
        stage = f"{self._num_ended} of {self._total}"
        if done > 0 and self._num_ended < self._total:
            elapsed_s = time.monotonic() - self._began_s
            stage += f" – {texts.duration(elapsed_s * (self._total - done) / done)} left"
        self._progress.update(self._all, completed=done, stage=stage)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, soft_wrap=True)
