# SPDX-License-Identifier: Apache-2.0
"""The procedures that GIMP lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
gi.require_version("Babl", "0.1")

from gi.repository import Gegl, Gimp, GObject  # noqa: E402

from pid_client.options import ENHANCE, UPSCALE  # noqa: E402

from . import arguments, call  # noqa: E402

MENU = "<Image>/Filters/PiD"
_LAYERS = Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES
_ALWAYS = (
    _LAYERS | Gimp.ProcedureSensitivityMask.NO_IMAGE | Gimp.ProcedureSensitivityMask.NO_DRAWABLES
)
_folder = Path()


@dataclass(frozen=True)
class Entry:
    """One procedure."""

    kind: str
    """A kind of job, or call.RECOVER."""
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
        call.RECOVER,
        "_Recover Last Result",
        "Open the newest finished result that was never received as a new image.",
        _ALWAYS,
    ),
}


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
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, _run, entry.kind)
        procedure.set_image_types("*")
        procedure.set_sensitivity_mask(entry.needs)
        procedure.set_menu_label(entry.label)
        procedure.add_menu_path(MENU)
        procedure.set_documentation(entry.help, entry.help, name)
        procedure.set_attribution("PiD Layers", "PiD Layers", "2026")
        if entry.kind != call.RECOVER:
            arguments.declare(procedure, entry.kind)
        procedure.add_image_return_value(
            "result", "Result", "Image with the result", True, GObject.ParamFlags.READWRITE
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


def _run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image | None,
    drawables: Sequence[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    kind: str,
) -> Gimp.ValueArray:
    Gegl.init(None)
    return call.Call(_folder, procedure, kind, run_mode, image, drawables, config).carry_out()
