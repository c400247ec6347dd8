# SPDX-License-Identifier: Apache-2.0
""" "Try a spot": a small area around the selection or the layer's middle, for a look, without a
change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pid_client import run, texts
from pid_client.editor import Source
from pid_client.job import Finished
from pid_client.run import SPOT_PX, Update
from pid_client.session import Session
from pid_protocol.errors import PidError
from pid_protocol.pixels import PixelFormat

from .document import KritaEditor
from .qt import QtGui
from .split import Split
from .workbench import Workbench


class Spot:
    """Runs spots and shows them.

    Args:
        workbench: for what is chosen, and the daemon.
        split: where before and after are shown.
        say: shows a line.
    """

    def __init__(self, workbench: Workbench, split: Split, say: Callable[[str], None]) -> None:
        self._workbench = workbench
        self._split = split
        self._say = say
        self._before: Any = None

    def begin(self, kind: str, options: dict[str, Any]) -> None:
        """Work on a spot of what is chosen; replaces one that still waits."""
        try:
            source, picture = _cut(self._workbench.editor())
        except PidError as error:
            self._say(error.message)
            return
        self._before = picture
        self._split.show_pictures(picture, None)
        pixels = _bytes_of(picture)

        def work(session: Session) -> Iterator[Any]:
            yield from run.try_spot(session, source, pixels, kind, options, wait_s=0.05)

        self._workbench.background.ask("spot", work, self._show)

    def _show(self, event: Update | Finished | PidError | None) -> None:
        if isinstance(event, PidError):
            self._say(event.message)
        elif isinstance(event, Update):
            self._say(event.text)
        elif isinstance(event, Finished):
            made = event.image
            kind = QtGui.QImage.Format.Format_ARGB32
            after = QtGui.QImage(bytes(event.pixels), made.width, made.height, made.row_bytes, kind)
            self._split.show_pictures(self._before, after.copy())
            self._say(texts.DONE)


def _cut(editor: KritaEditor) -> tuple[Source, Any]:
    """The spot as a screen shows it, B, G, R, A in 8 bits sRGB, and what describes it."""
    source = editor.sources()[0]
    selection = editor.selection(source)
    size = source.image
    middle_x, middle_y = size.width // 2, size.height // 2
    if selection is not None:
        middle_x = selection.x + selection.width // 2
        middle_y = selection.y + selection.height // 2
    width, height = min(SPOT_PX, size.width), min(SPOT_PX, size.height)
    x = min(max(0, middle_x - width // 2), size.width - width)
    y = min(max(0, middle_y - height // 2), size.height - height)
    layer = source.handle
    picture = editor.document.projection(layer.x + x, layer.y + y, width, height)
    picture = picture.convertToFormat(QtGui.QImage.Format.Format_ARGB32)
    image = PixelFormat(width, height, channels="rgba", depth="u8", order="bgr")
    return replace(source, image=image, icc=None), picture


def _bytes_of(picture: Any) -> bytes:
    bits = picture.constBits()
    bits.setsize(picture.sizeInBytes())
    return bytes(bits)
