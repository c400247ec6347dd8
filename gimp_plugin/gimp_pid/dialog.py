# SPDX-License-Identifier: Apache-2.0
"""The window before a run: the options table in GIMP's own dialog, the plan, a spot to try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from gi.repository import Gimp, GimpUi, GLib, Gtk

from pid_client import run, texts
from pid_client.background import Background
from pid_client.editor import Source
from pid_client.options import UPSCALE, options_for
from pid_client.session import Session
from pid_protocol.errors import PidError

from . import arguments
from .editor import GimpEditor
from .placing import PARASITE
from .trial import Trial

_PATIENCE_MS = 200
"""Pause after the last change before the plan is asked for."""
_PLAN_S = 10.0
_ADVANCED_PX = 150


class Dialog:
    """One dialog for one run.

    Args:
        procedure: whose arguments are shown.
        config: what the widgets change.
        kind: of job.
        editor: what is chosen; its refusals come before the dialog.
        connect: makes a connection to the daemon.
    """

    def __init__(
        self,
        procedure: Gimp.Procedure,
        config: Gimp.ProcedureConfig,
        kind: str,
        editor: GimpEditor,
        connect: Callable[[], Session],
    ) -> None:
        self._config, self._kind, self._editor = config, kind, editor
        self._source: Source = editor.sources()[0]
        self._selection = editor.selection(self._source)
        self._timer = 0
        self.notices: set[str] = set()
        """Sentences that the person has read beside the plan."""
        title = texts.UPSCALE_TITLE if kind == UPSCALE else texts.ENHANCE_TITLE
        self._window = GimpUi.ProcedureDialog.new(procedure, config, title)
        self._background = Background(connect, _on_main_thread)
        self._fill()
        config.connect("notify", lambda *_: self._changed())
        self._changed()

    def ask(self) -> tuple[bool, Session | None]:
        """Show it until the person decides.

        Returns:
            Whether to go on, and the connection that the dialog used.
        """
        try:
            wanted = self._window.run()
        finally:
            if self._timer:
                GLib.source_remove(self._timer)
            self._window.destroy()
        # A dialog that was cancelled need not wait: the process ends, and the connection with it.
        return wanted, self._background.close() if wanted else None

    # --- the window ------------------------------------------------------------------------------

    def _fill(self) -> None:
        window = self._window
        rows = options_for(self._kind)
        names = {
            is_advanced: [
                arguments.property_name(row) for row in rows if row.advanced == is_advanced
            ]
            for is_advanced in (False, True)
        }
        for row in rows:
            if row.type is float and not row.advanced:
                window.get_scale_entry(arguments.property_name(row), 1.0)
        window.fill_box("basic-rows", names[False])
        window.fill_box("advanced-rows", names[True])
        window.get_label("advanced-title", texts.ADVANCED, False, False)
        scrolled = window.fill_scrolled_window("advanced-part", "advanced-rows")
        scrolled.set_min_content_height(_ADVANCED_PX)  # OK has to stay on a small screen
        window.fill_expander("advanced", "advanced-title", True, "advanced-part")
        window.fill(["basic-rows", "advanced"])
        content = window.get_content_area()
        self._plan = Gtk.Label(label=texts.CONNECTING, xalign=0.0, wrap=True, selectable=True)
        self._plan.set_max_width_chars(60)
        trial = Trial(
            self._editor,
            self._source,
            self._selection,
            self._kind,
            lambda: arguments.values(self._config, self._kind),
            self._background,
        )
        for widget in (self._plan, trial.view):
            widget.set_margin_start(12)
            widget.set_margin_end(12)
            widget.set_margin_bottom(6)
            content.pack_start(widget, False, False, 6)
            widget.show()
        if options := self._settings_of_layer():
            button = Gtk.Button.new_with_mnemonic(f"_{texts.REUSE}")
            button.connect(
                "clicked", lambda *_: arguments.assign(self._config, self._kind, options)
            )
            button.set_margin_start(12)
            button.set_halign(Gtk.Align.START)
            content.pack_start(button, False, False, 6)
            button.show()

    def _settings_of_layer(self) -> dict[str, Any]:
        parasite = self._source.handle.layer.get_parasite(PARASITE)
        if parasite is None:
            return {}
        try:
            note = json.loads(bytes(parasite.get_data()))
            return dict(note["options"])
        except (ValueError, KeyError, TypeError):  # written by another version
            return {}

    # --- the plan --------------------------------------------------------------------------------

    def _changed(self) -> None:
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(_PATIENCE_MS, self._ask_for_plan)

    def _ask_for_plan(self) -> bool:
        self._timer = 0
        options = arguments.values(self._config, self._kind)

        def work(session: Session) -> Iterator[Any]:
            yield run.plan(session, self._source, self._selection, self._kind, options, _PLAN_S)

        self._background.ask("plan", work, self._show_plan)
        return GLib.SOURCE_REMOVE

    def _show_plan(self, answer: Any) -> None:
        if isinstance(answer, PidError):
            self._plan.set_text(str(answer))
        else:
            self.notices.update(answer.notices)
            self._plan.set_text("\n".join([texts.plan_line(answer), *answer.notices]))


def _on_main_thread(call: Callable[[], None]) -> None:
    def once() -> bool:
        call()
        return GLib.SOURCE_REMOVE

    GLib.idle_add(once)
