# SPDX-License-Identifier: Apache-2.0
"""The dialog of an action: the panel, Run and Cancel."""

from __future__ import annotations

from typing import Any

from pid_client import texts
from pid_protocol.errors import PidError

from .panel import Panel
from .qt import QtCore, QtWidgets
from .workbench import TITLES, Workbench, warn


def open_dialog(kind: str, workbench: Workbench, parent: Any) -> Any:
    """Ask for the settings and run; returns at once, the dialog stays open on its own."""
    dialog = QtWidgets.QDialog(parent)
    dialog.setObjectName(f"pid_{kind}_dialog")
    dialog.setWindowTitle(f"PiD: {TITLES[kind]}")
    dialog.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    panel = Panel(kind, workbench)
    kinds = QtWidgets.QDialogButtonBox.StandardButton
    buttons = QtWidgets.QDialogButtonBox(kinds.Ok | kinds.Cancel)
    buttons.button(kinds.Ok).setText(texts.RUN)
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    dialog.accepted.connect(lambda: _begin(kind, workbench, panel))
    box = QtWidgets.QVBoxLayout(dialog)
    box.addWidget(panel)
    box.addStretch(1)
    box.addWidget(buttons)
    dialog.resize(420, dialog.sizeHint().height())
    dialog.open()
    return dialog


def _begin(kind: str, workbench: Workbench, panel: Panel) -> None:
    try:
        workbench.begin(kind, panel.form.values())
    except PidError as error:
        warn(error)
