# SPDX-License-Identifier: Apache-2.0
"""The job list: what runs, waits, is done here, or waits in the daemon to be recovered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pid_client import texts
from pid_client.session import Session
from pid_protocol.errors import PidError
from pid_protocol.messages import GetJobs, Jobs

from .qt import QtCore, QtGui, QtWidgets, Signal
from .runs import Run
from .split import image_of
from .workbench import Workbench

_THUMBNAIL_PX = 40
_POLL_MS = 3000
_WHAT = QtCore.Qt.ItemDataRole.UserRole


class JobList(QtWidgets.QListWidget):
    """Runs of this Krita, newest first, and below them results that nobody received."""

    chosen = Signal(object)
    """A Run was clicked."""

    def __init__(self, workbench: Workbench, parent: Any = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._to_recover: list[dict[str, Any]] = []
        self.setAccessibleName(texts.JOBS_LABEL)
        self.setIconSize(QtCore.QSize(_THUMBNAIL_PX, _THUMBNAIL_PX))
        self.setMaximumHeight(160)
        self.itemClicked.connect(self._click)
        self.itemActivated.connect(self._activate)
        workbench.runs.changed.connect(self._fill)
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._look)

    def showEvent(self, event: Any) -> None:
        """Look for results to recover while the list is seen."""
        super().showEvent(event)
        self._look()
        self._timer.start()

    def hideEvent(self, event: Any) -> None:
        """Leave the daemon alone while nobody looks."""
        super().hideEvent(event)
        self._timer.stop()

    def _look(self) -> None:
        def work(session: Session) -> Iterator[Any]:
            yield session.request(GetJobs())

        self._workbench.background.ask("jobs", work, self._take)

    def _take(self, answer: Jobs | PidError) -> None:
        rows = answer.jobs if isinstance(answer, Jobs) else []
        done = [row for row in rows if row.get("state") == "done"]
        if done != self._to_recover:
            self._to_recover = done
            self._fill()

    def _fill(self) -> None:
        self.clear()
        for run in reversed(self._workbench.runs.all):
            item = QtWidgets.QListWidgetItem(f"{run.title} – {run.text}")
            item.setData(_WHAT, run)
            if run.preview is not None:
                shown = run.preview
                picture = image_of(shown.width, shown.height, shown.pixels)
                item.setIcon(QtGui.QIcon(QtGui.QPixmap.fromImage(picture)))
            self.addItem(item)
        for row in self._to_recover:
            title = row.get("title") or texts.UNTITLED
            item = QtWidgets.QListWidgetItem(f"{texts.RECOVER_LABEL}: {title}")
            item.setToolTip(texts.RECOVER_TOOLTIP)
            item.setData(_WHAT, str(row["job"]))
            self.addItem(item)

    def _click(self, item: Any) -> None:
        what = item.data(_WHAT)
        if isinstance(what, Run):
            self.chosen.emit(what)

    def _activate(self, item: Any) -> None:
        what = item.data(_WHAT)
        if isinstance(what, str):
            self._workbench.recover(what)
