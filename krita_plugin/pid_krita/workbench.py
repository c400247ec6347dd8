# SPDX-License-Identifier: Apache-2.0
"""What actions, dialog and docker have in common: the connection, the runs, and what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from krita import Krita

from pid_client import licence, run, texts
from pid_client.background import Background
from pid_client.options import ENHANCE, UPSCALE
from pid_client.place import read_place
from pid_client.run import Committed, RunEvent
from pid_client.session import Session
from pid_protocol.errors import Cancelled, InvalidImage, PidError
from pid_protocol.licences import Licence

from . import settings
from .document import KritaEditor
from .qt import QtCore, QtWidgets, Signal
from .runs import Connection, Run, Runs

TITLES = {UPSCALE: texts.UPSCALE_TITLE, ENHANCE: texts.ENHANCE_TITLE}


class Workbench(QtCore.QObject):
    """One for each Krita.

    Args:
        folder: where the plugin is installed.
    """

    _posted = Signal(object)

    def __init__(self, folder: Path, parent: Any = None) -> None:
        super().__init__(parent)
        self.connection = Connection(read_place(folder))
        self.runs = Runs(self.connection, self)
        self._posted.connect(lambda call: call())  # queued: arrives on the main thread
        self.background = Background(self.connection.connect, self._posted.emit)

    def editor(self, *, keep_source: bool = True) -> KritaEditor:
        """What is chosen in the active window.

        Raises:
            InvalidImage: no document is open.
        """
        document = Krita.instance().activeDocument()
        if document is None:
            raise InvalidImage(texts.NO_DOCUMENT)
        window = Krita.instance().activeWindow()
        view = window.activeView() if window is not None else None
        nodes = list(view.selectedNodes()) if view is not None else []
        return KritaEditor(document, nodes or [document.activeNode()], keep_source)

    def begin(self, kind: str, options: dict[str, Any]) -> Run:
        """Run on what is chosen now, and remember the settings.

        Raises:
            InvalidImage: nothing is chosen that could be worked on.
        """
        editor = self.editor(keep_source=bool(options.get("keep_source", True)))
        editor.sources()
        settings.save(kind, options)

        def start(session: Session) -> Iterator[RunEvent]:
            for event in run.run(editor, session, kind, options):
                if isinstance(event, Committed) and editor.notices:
                    _float_message(" ".join(editor.notices))
                yield event

        begun = self.runs.begin(TITLES[kind], start)
        begun.again = lambda: self.begin(kind, options)
        return begun

    def recover(self, job: str | None = None) -> Run:
        """Fetch a result that was never received."""
        document = Krita.instance().activeDocument()
        editor = KritaEditor(document, [])
        return self.runs.begin(
            texts.RECOVER_TITLE, lambda session: run.recover(editor, session, job=job)
        )

    def accept(self, accepted: Licence, then: Callable[[], Any]) -> None:
        """Tell the daemon that the person accepts a licence, and go on with `then`."""

        def work(session: Session) -> Iterator[None]:
            licence.accept(session, accepted)
            yield None

        def go_on(error: PidError | None) -> None:
            if error is None:
                then()
            else:
                warn(error)

        self.background.ask("licence", work, go_on)

    def tell_end(self, ended: Run) -> None:
        """Say in a box why a run ended without a result; about a licence, ask and go on."""
        error, again = ended.error, ended.again
        if error is None or isinstance(error, Cancelled):
            return
        question = licence.question_about(error)
        if question is None or again is None:
            warn(error)
        else:
            accepted = question.licence
            ask(question, lambda: self.accept(accepted, again))

    def close(self) -> None:
        """Krita is closing."""
        self.runs.cancel_all()
        self.background.close()
        self.connection.close()


def warn(error: PidError) -> None:
    """Say an error in a box that holds nothing up."""
    _box(*texts.error_box(error)).open()


def ask(question: licence.Question, on_yes: Callable[[], Any]) -> None:
    """Ask in a box that holds nothing up."""
    box = _box(question.title, question.text)
    roles = QtWidgets.QMessageBox.ButtonRole
    yes = box.addButton(question.yes, roles.AcceptRole)
    no = box.addButton(question.no, roles.RejectRole)
    box.setDefaultButton(no)
    box.setEscapeButton(no)
    yes.clicked.connect(lambda: on_yes())
    box.open()


def _box(title: str, body: str) -> Any:
    window = Krita.instance().activeWindow()
    box = QtWidgets.QMessageBox(window.qwindow() if window is not None else None)
    box.setIcon(QtWidgets.QMessageBox.Icon.Warning)
    box.setWindowTitle("PiD")
    box.setText(title)
    box.setInformativeText(body)
    box.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
    return box


def _float_message(text: str) -> None:
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if view is not None:
        icon = Krita.instance().icon("dialog-information")
        view.showFloatingMessage(text, icon, 4000, 1)
