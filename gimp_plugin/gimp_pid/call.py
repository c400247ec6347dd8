# SPDX-License-Identifier: Apache-2.0
"""One call of a procedure: dialog, connection, progress, outcome."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gi
from gi.repository import Gimp, GLib, GObject

from pid_client import launch, licence, run, texts
from pid_client.place import read_place
from pid_client.session import Session
from pid_protocol.errors import Cancelled, PidError

from . import arguments
from .editor import GimpEditor

RECOVER = "recover"
"""Beside the kinds of jobs: fetch what was never received."""
_WAIT_S = 0.05


class Call:
    """One call, from what GIMP hands over to what it gets back.

    Args:
        folder: of the plug-in.
        procedure: that was called.
        kind: of job, or RECOVER.
        run_mode: with the dialog, with the last values, or by a script.
        image: None only for RECOVER.
        drawables: what is chosen.
        config: the arguments.
    """

    def __init__(
        self,
        folder: Path,
        procedure: Gimp.Procedure,
        kind: str,
        run_mode: Gimp.RunMode,
        image: Gimp.Image | None,
        drawables: Sequence[Gimp.Drawable],
        config: Gimp.ProcedureConfig,
    ) -> None:
        self._folder, self._procedure, self._kind = folder, procedure, kind
        self._run_mode, self._config = run_mode, config
        self._editor = GimpEditor(image, drawables)
        self._session: Session | None = None
        self._told: set[str] = set()

    def carry_out(self) -> Gimp.ValueArray:
        """Do everything; returns the status, and the image with the result."""
        try:
            if not self._is_wanted():
                return self._procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
            self._work()
        except Cancelled:
            return self._procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
        except PidError as error:
            return self._failed(texts.error_box(error)[1])  # GIMP writes a title of its own
        except Exception as error:  # a defect of ours: GIMP would say only that the plug-in crashed
            traceback.print_exc(file=sys.stderr)
            return self._failed(f"PiD has a defect: {error!r}\n\nThe terminal has the traceback.")
        finally:
            self._editor.close()
            if self._session is not None:
                self._session.close()  # sends what is left to say
        result = self._procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
        result.remove(1)
        result.insert(1, GObject.Value(Gimp.Image, self._editor.target))
        return result

    def _is_wanted(self) -> bool:
        """Refuse what cannot be done, then ask the person if one is there."""
        if self._kind == RECOVER:
            return True
        for source in self._editor.sources():
            self._editor.selection(source)
        if self._run_mode != Gimp.RunMode.INTERACTIVE:
            return True
        _use_gtk()
        from .dialog import Dialog

        dialog = Dialog(self._procedure, self._config, self._kind, self._editor, self._connect)
        is_wanted, self._session = dialog.ask()
        self._told = dialog.notices
        return is_wanted

    def _work(self) -> None:
        Gimp.progress_init(texts.CONNECTING)
        if self._session is None or self._session.is_lost:
            self._session = self._connect(Gimp.progress_set_text)
        try:
            self._follow(self._steps(self._session))
        except PidError as error:
            self._accept_licence(self._session, error)
            self._follow(self._steps(self._session))
        Gimp.progress_end()
        if self._editor.is_new and self._run_mode != Gimp.RunMode.NONINTERACTIVE:
            _show(self._editor.target)
        Gimp.displays_flush()

    def _accept_licence(self, session: Session, error: PidError) -> None:
        """Ask the person for the licence that was missing; raise the error if it is another one."""
        question = licence.question_about(error)
        if question is None or self._run_mode == Gimp.RunMode.NONINTERACTIVE:
            raise error
        _use_gtk()
        from .question import is_answered_yes

        if not is_answered_yes(question):
            raise Cancelled("The licence was not accepted.")
        licence.accept(session, question.licence)

    def _steps(self, session: Session) -> Iterator[run.RunEvent]:
        if self._kind == RECOVER:
            return run.recover(self._editor, session, wait_s=_WAIT_S)
        options = arguments.values(self._config, self._kind)
        return run.run(self._editor, session, self._kind, options, wait_s=_WAIT_S)

    def _follow(self, steps: Iterator[run.RunEvent]) -> None:
        """Show how far it is.

        When the person cancels, GIMP kills this process: the daemon then stops the job, and before
        the last step nothing has been changed.
        """
        shown = ""
        for event in steps:
            if isinstance(event, run.Update):
                if event.text != shown:
                    shown = event.text
                    Gimp.progress_set_text(shown)
                Gimp.progress_update(event.fraction)
            elif isinstance(event, run.Committed):
                self._tell_notices(event)

    def _tell_notices(self, event: run.Committed) -> None:
        notices = [*self._editor.notices]
        for placed in event.results:
            notices += placed.finished.record.get("notices", [])
        for notice in dict.fromkeys(notices):
            if notice not in self._told:
                Gimp.message(notice)

    def _connect(self, notify: Callable[[str], Any] | None = None) -> Session:
        place = read_place(self._folder)
        return launch.connect(
            client="gimp",
            connection_file=place.connection_file,
            launch=place.launch or None,
            notify=notify,
        )

    def _failed(self, text: str) -> Gimp.ValueArray:
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0)
        return self._procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


def _use_gtk() -> None:
    """Start Gtk: only now, because it needs a screen, and scripts have none."""
    gi.require_version("GimpUi", "3.0")
    from gi.repository import GimpUi

    GimpUi.init("pid_gimp")


def _show(image: Gimp.Image) -> None:
    try:
        Gimp.Display.new(image)
    except TypeError:  # GIMP runs without windows; the caller gets the image
        pass
