# SPDX-License-Identifier: Apache-2.0
"""The actions in the Filter menu, and the wiring of everything at start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from pid_client.options import ENHANCE, UPSCALE
from pid_protocol.errors import PidError

from . import settings
from .dialog import open_dialog
from .docker import PidDocker
from .workbench import Workbench, warn

ACTIONS = (
    ("pid_upscale", "PiD: Upscale Layer…", UPSCALE, True),
    ("pid_enhance", "PiD: Enhance Layer or Selection…", ENHANCE, True),
    ("pid_upscale_again", "PiD: Upscale Again", UPSCALE, False),
    ("pid_enhance_again", "PiD: Enhance Again", ENHANCE, False),
)
"""Identifier, text, kind of job, whether a dialog asks first."""
DOCKER = "pid_docker"


class PidExtension(Extension):
    """What Krita asks an extension."""

    def __init__(self, parent: Any, workbench: Workbench) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._told: set[int] = set()
        workbench.runs.changed.connect(self._tell)

    def setup(self) -> None:
        """Krita's call at start."""
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        notifier.applicationClosing.connect(self._workbench.close)

    def createActions(self, window: Any) -> None:
        """Krita's call for each window."""
        for name, text, kind, asks in ACTIONS:
            action = window.createAction(name, text, "filter")
            action.triggered.connect(lambda *_, kind=kind, asks=asks: self._act(kind, asks))

    def _act(self, kind: str, asks: bool) -> None:
        if asks:
            window = Krita.instance().activeWindow()
            open_dialog(kind, self._workbench, window.qwindow() if window is not None else None)
            return
        try:
            self._workbench.begin(kind, settings.load(kind))
        except PidError as error:
            warn(error)

    def _tell(self) -> None:
        for run in self._workbench.runs.all:
            if run.is_over and id(run) not in self._told:
                self._told.add(id(run))
                self._workbench.tell_end(run)


def register(folder: Path) -> None:
    """Add extension and docker to Krita.

    Args:
        folder: where the plugin is installed.
    """
    krita = Krita.instance()
    workbench = Workbench(folder)
    PidDocker.workbench = workbench
    krita.addExtension(PidExtension(krita, workbench))
    krita.addDockWidgetFactory(
        DockWidgetFactory(DOCKER, DockWidgetFactoryBase.DockRight, PidDocker)
    )
