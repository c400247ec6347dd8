# SPDX-License-Identifier: Apache-2.0
"""The procedures: what GIMP lists, and what a call comes to."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
gi.require_version("Babl", "0.1")

from gi.repository import Gegl, Gimp, GLib, GObject  # noqa: E402
from pid_client import launch, run, texts  # noqa: E402
from pid_client.options import ENHANCE, UPSCALE  # noqa: E402
from pid_client.place import read_place  # noqa: E402
from pid_client.session import Session  # noqa: E402
from pid_protocol.errors import Cancelled, PidError  # noqa: E402

from . import arguments  # noqa: E402
from .editor import GimpEditor  # noqa: E402

RECOVER = "recover"
MENU = "<Image>/Filters/PiD"
_WAIT_S = 0.05
_ANY = (
    Gimp.ProcedureSensitivityMask.NO_IMAGE
    | Gimp.ProcedureSensitivityMask.NO_DRAWABLES
    | Gimp.ProcedureSensitivityMask.DRAWABLE
    | Gimp.ProcedureSensitivityMask.DRAWABLES
)
_LAYERS = Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES


@dataclass(frozen=True)
class Entry:
    """One procedure."""

    kind: str
    """A kind of job, or RECOVER."""
    label: str
    """In the menu."""
    help: str
    """One sentence."""
    needs: Gimp.ProcedureSensitivityMask
    """When it can be chosen."""


ENTRIES = {
    "plug-in-pid-upscale": Entry(
        UPSCALE, "_Upscale Layer…", "Enlarge layers with real detail.", _LAYERS
    ),
    "plug-in-pid-enhance": Entry(
        ENHANCE,
        "_Enhance Layer or Selection…",
        "Bring back detail in layers, or in the selected part of them, at the same size.",
        _LAYERS,
    ),
    "plug-in-pid-recover": Entry(
        RECOVER,
        "_Recover Last Result",
        "Open the newest finished result that was never received as a new image.",
        _ANY,
    ),
}
_folder = Path()


class PidPlugIn(Gimp.PlugIn):
    """What GIMP asks a plug-in."""

    def do_set_i18n(self, _name: str) -> bool:
        """The texts are in English."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Names of the procedures."""
        return list(ENTRIES)

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Describe one of them."""
        entry = ENTRIES[name]
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, _called, entry)
        procedure.set_image_types("*")
        procedure.set_sensitivity_mask(entry.needs)
        procedure.set_menu_label(entry.label)
        procedure.add_menu_path(MENU)
        procedure.set_documentation(entry.help, entry.help, name)
        procedure.set_attribution("PiD Layers", "PiD Layers", "2026")
        if entry.kind != RECOVER:
            arguments.declare(procedure, entry.kind)
        procedure.add_image_return_value(
            "result",
            "Result",
            "The image that holds the result",
            True,
            GObject.ParamFlags.READWRITE,
        )
        return procedure


def main(folder: Path, argv: Sequence[str]) -> None:
    """Run the plug-in.

    Args:
        folder: where it is installed.
        argv: what GIMP called it with.
    """
    global _folder
    _folder = folder
    Gimp.main(PidPlugIn.__gtype__, list(argv))


def _called(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image | None,
    drawables: Sequence[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    entry: Entry,
) -> Gimp.ValueArray:
    editor = GimpEditor(image, drawables)
    is_interactive = run_mode == Gimp.RunMode.INTERACTIVE
    Gegl.init(None)
    try:
        steps = _steps(procedure, entry.kind, editor, config, is_interactive)
        if steps is None:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
        _follow(steps)
    except Cancelled:
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    except PidError as error:
        title, body = texts.error_box(error)
        return _failed(procedure, f"{title}\n\n{body}")
    except Exception as error:  # a defect of ours: GIMP would only say that the plug-in crashed
        traceback.print_exc(file=sys.stderr)
        return _failed(procedure, f"PiD has a defect: {error!r}. The terminal has the traceback.")
    finally:
        editor.close()
    if editor.is_new and run_mode != Gimp.RunMode.NONINTERACTIVE:
        Gimp.Display.new(editor.target)
    Gimp.displays_flush()
    result = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())
    result.remove(1)
    result.insert(1, GObject.Value(Gimp.Image, editor.target))
    return result


def _steps(
    procedure: Gimp.Procedure,
    kind: str,
    editor: GimpEditor,
    config: Gimp.ProcedureConfig,
    is_interactive: bool,
) -> Iterator[run.RunEvent] | None:
    """Everything up to the start of the work; None = the person changed their mind."""
    session: Session | None = None
    if kind != RECOVER:
        for source in editor.sources():  # what cannot be done is said before anything is asked
            editor.selection(source)
        if is_interactive:
            wanted, session = _ask(procedure, kind, editor, config)
            if not wanted:
                return None
    Gimp.progress_init(texts.CONNECTING)
    if session is None or session.is_lost:
        session = _connect(Gimp.progress_set_text)
    if kind == RECOVER:
        return run.recover(editor, session, wait_s=_WAIT_S)
    return run.run(editor, session, kind, arguments.values(config, kind), wait_s=_WAIT_S)


def _ask(
    procedure: Gimp.Procedure, kind: str, editor: GimpEditor, config: Gimp.ProcedureConfig
) -> tuple[bool, Session | None]:
    gi.require_version("GimpUi", "3.0")
    from gi.repository import GimpUi

    from .dialog import Dialog  # Gtk needs a screen, and scripts have none

    GimpUi.init("pid_gimp")
    return Dialog(procedure, config, kind, editor, _connect).ask()


def _connect(notify: Callable[[str], Any] | None = None) -> Session:
    place = read_place(_folder)
    return launch.connect(
        client="gimp",
        connection_file=place.connection_file,
        launch=place.launch or None,
        notify=notify,
    )


def _follow(steps: Iterator[run.RunEvent]) -> None:
    """Show how far it is. GIMP kills this process when the person cancels; the daemon then stops
    the job, and nothing has been changed before the last step."""
    shown = ""
    for event in steps:
        if isinstance(event, run.Update):
            if event.text != shown:
                shown = event.text
                Gimp.progress_set_text(shown)
            Gimp.progress_update(event.fraction)
        elif isinstance(event, run.Committed):
            _say_notices(event)
    Gimp.progress_end()


def _say_notices(event: run.Committed) -> None:
    notices = [
        str(one) for placed in event.results for one in placed.finished.record.get("notices", [])
    ]
    for notice in dict.fromkeys(notices):
        Gimp.message(notice)


def _failed(procedure: Gimp.Procedure, text: str) -> Gimp.ValueArray:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
