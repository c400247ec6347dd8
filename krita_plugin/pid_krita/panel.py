# SPDX-License-Identifier: Apache-2.0
"""The form of one kind of job with its plan line: size, tiles, time, memory, before anything
runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pid_client import run, texts
from pid_client.session import Session
from pid_protocol.errors import PidError
from pid_protocol.messages import Plan

from . import settings
from .form import Form
from .qt import QtCore, QtWidgets
from .workbench import Workbench

_PAUSE_MS = 250
"""The plan is asked for when typing pauses that long."""


class Panel(QtWidgets.QWidget):
    """Form and plan line.

    Args:
        kind: `upscale` or `enhance`.
        workbench: for what is chosen, and to ask the daemon.
    """

    def __init__(self, kind: str, workbench: Workbench, parent: Any = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self._workbench = workbench
        self.form = Form(kind)
        self.form.set_values(settings.load(kind))
        self._line = QtWidgets.QLabel()
        self._line.setWordWrap(True)
        self._line.setAccessibleName(texts.PLAN_LABEL)
        box = QtWidgets.QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.form)
        box.addWidget(self._line)
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._ask)
        self.form.changed.connect(self.refresh)

    def refresh(self) -> None:
        """Ask for the plan soon: settings, layer or selection may be new."""
        self._timer.start()

    def showEvent(self, event: Any) -> None:
        """A panel that is seen shows a plan that is true."""
        super().showEvent(event)
        self.refresh()

    def _ask(self) -> None:
        if not self.isVisible():
            return
        try:
            editor = self._workbench.editor()
            source = editor.sources()[0]
            selection = editor.selection(source)
        except PidError as error:
            self._line.setText(error.message)
            return
        values = self.form.values()

        def work(session: Session) -> Iterator[Plan]:
            yield run.plan(session, source, selection, self.kind, values)

        self._workbench.background.ask("plan", work, self._show)

    def _show(self, plan: Plan | PidError) -> None:
        if isinstance(plan, PidError):
            self._line.setText(plan.message)
        else:
            self._line.setText("\n".join([texts.plan_line(plan), *plan.notices]))
