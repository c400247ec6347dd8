# SPDX-License-Identifier: Apache-2.0
"""Progress bars: one for the run, one for each job under way."""

from __future__ import annotations

from pid_protocol.messages import Progress as Step
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from pid_daemon.cli import texts

NAME_CHARS = 32
"""What a bar shows of a file's name."""


class BarView:
    """A `View` for terminals."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._names: dict[int, str] = {}
        self._tasks: dict[int, TaskID] = {}
        self._finished = 0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}", style="dim"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._all: TaskID | None = None
        if total > 1:
            self._all = self._progress.add_task("all", total=total, stage="")
        self._progress.start()

    def begin(self, index: int, name: str) -> None:
        """A new bar."""
        self._names[index] = name
        shown = name if len(name) <= NAME_CHARS else f"…{name[1 - NAME_CHARS :]}"
        self._tasks[index] = self._progress.add_task(escape(shown), total=1.0, stage="sending")

    def queued(self, index: int, position: int) -> None:
        """Where it stands in the queue."""
        self._stage(index, f"queued, place {position}" if position else "starting")

    def step(self, index: int, step: Step) -> None:
        """Move the bar."""
        left = f", {texts.duration(step.eta_s)} left" if step.eta_s else ""
        self._stage(index, f"{texts.stage(step)}{left}", completed=step.fraction)

    def receiving(self, index: int, fraction: float) -> None:
        """The bar is full by then."""
        self._stage(index, f"receiving, {fraction:.0%}")

    def done(self, index: int, sentence: str) -> None:
        """The bar gives way to a line."""
        self._end(index)
        self._say(index, f"[green]✓[/] {escape(sentence)}")

    def failed(self, index: int, sentence: str) -> None:
        """The bar gives way to a line."""
        self._end(index)
        self._progress.console.print(f"[red]✗[/] {escape(sentence)}", soft_wrap=True)

    def notice(self, index: int, sentence: str) -> None:
        """A line above the bars."""
        self._say(index, f"[yellow]![/] {escape(sentence)}")

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
        self._finished += 1
        if self._all is not None:
            self._progress.update(self._all, completed=self._finished)

    def _say(self, index: int, text: str) -> None:
        name = escape(self._names.get(index, ""))
        self._progress.console.print(f"{name}: {text}", highlight=False, soft_wrap=True)
