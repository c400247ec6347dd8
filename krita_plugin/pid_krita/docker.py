# SPDX-License-Identifier: Apache-2.0
"""The PiD docker: settings, plan, run, progress with preview, spot, jobs."""

from __future__ import annotations

from typing import Any

from krita import DockWidget

from pid_client import texts
from pid_client.options import ENHANCE, UPSCALE
from pid_protocol.errors import PidError

from .jobs import JobList
from .panel import Panel
from .placing import read_records
from .qt import QtCore, QtWidgets
from .runs import Run
from .split import Split, image_of
from .spot import Spot
from .workbench import TITLES, Workbench


class Desk(QtWidgets.QWidget):
    """What the docker shows."""

    def __init__(self, workbench: Workbench, parent: Any = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._run: Run | None = None
        self._mode = QtWidgets.QComboBox()
        self._mode.setAccessibleName(texts.MODE_LABEL)
        self._mode.addItems([TITLES[UPSCALE], TITLES[ENHANCE]])
        self._panels = {kind: Panel(kind, workbench) for kind in (UPSCALE, ENHANCE)}
        self._start = QtWidgets.QPushButton(texts.RUN)
        self._start.setDefault(True)
        self._stop = QtWidgets.QPushButton(texts.CANCEL)
        self._stop.setEnabled(False)
        self._try = QtWidgets.QPushButton(texts.SPOT_LABEL)
        self._reuse = QtWidgets.QPushButton(texts.REUSE)
        self._reuse.setToolTip(texts.REUSE_TOOLTIP)
        self._bar = QtWidgets.QProgressBar()
        self._bar.setRange(0, 1000)
        self._bar.setTextVisible(False)
        self._text = QtWidgets.QLabel(texts.READY)
        self._text.setWordWrap(True)
        self._split = Split()
        self._spot = Spot(workbench, self._split, self._say)
        self._jobs = JobList(workbench)
        self._arrange()
        self._mode.currentIndexChanged.connect(self._switch)
        self._start.clicked.connect(self._begin)
        self._stop.clicked.connect(self._cancel)
        self._try.clicked.connect(
            lambda: self._spot.begin(self.panel.kind, self.panel.form.values())
        )
        self._reuse.clicked.connect(self._use_again)
        self._jobs.chosen.connect(self.follow)
        workbench.runs.changed.connect(self._follow_newest)
        self._switch(0)

    @property
    def panel(self) -> Panel:
        """The panel of the chosen mode."""
        return self._panels[(UPSCALE, ENHANCE)[self._mode.currentIndex()]]

    def refresh(self) -> None:
        """Another document or layer may be active."""
        self.panel.refresh()

    def follow(self, run: Run) -> None:
        """Show a run's progress."""
        if self._run is run:
            return
        if self._run is not None:
            self._run.changed.disconnect(self._show)
        self._run = run
        run.changed.connect(self._show)
        self._show()

    def _arrange(self) -> None:
        buttons = QtWidgets.QGridLayout()
        for i, button in enumerate((self._start, self._stop, self._try, self._reuse)):
            button.setMinimumWidth(40)
            buttons.addWidget(button, i // 2, i % 2)
        box = QtWidgets.QVBoxLayout(self)
        box.addWidget(self._mode)
        for panel in self._panels.values():
            box.addWidget(panel)
        box.addLayout(buttons)
        box.addWidget(self._bar)
        box.addWidget(self._text)
        box.addWidget(self._split, 1)
        box.addWidget(self._jobs)

    def _switch(self, index: int) -> None:
        for i, kind in enumerate((UPSCALE, ENHANCE)):
            self._panels[kind].setVisible(i == index)

    def _begin(self) -> None:
        try:
            run = self._workbench.begin(self.panel.kind, self.panel.form.values())
        except PidError as error:
            self._say(error.message)
        else:
            self.follow(run)

    def _cancel(self) -> None:
        if self._run is not None:
            self._run.cancel()

    def _follow_newest(self) -> None:
        if self._workbench.runs.all:
            self.follow(self._workbench.runs.all[-1])

    def _show(self) -> None:
        run = self._run
        if run is None:
            return
        self._stop.setEnabled(not run.is_over)
        self._bar.setValue(round(run.fraction * 1000))
        self._say(run.text)
        if run.preview is not None:
            shown = run.preview
            self._split.show_pictures(None, image_of(shown.width, shown.height, shown.pixels))

    def _say(self, text: str) -> None:
        self._text.setText(text)

    def _use_again(self) -> None:
        try:
            records = read_records(self._workbench.editor().document)
        except PidError as error:
            self._say(error.message)
            return
        fitting = [one for one in records if one.get("kind") == self.panel.kind]
        if fitting:
            self.panel.form.set_values(fitting[-1].get("options", {}))
        else:
            self._say(texts.NOTHING_TO_REUSE)


class PidDocker(DockWidget):
    """The docker itself; Krita makes one for each window."""

    workbench: Workbench
    """Set once, before Krita makes the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("PiD")
        self._desk = Desk(self.workbench)
        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self._desk)
        self.setWidget(area)

    def canvasChanged(self, _canvas: Any) -> None:
        """Krita's call when another document becomes active."""
        self._desk.refresh()
