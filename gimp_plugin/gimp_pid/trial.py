# SPDX-License-Identifier: Apache-2.0
"""Try a spot: reads a small piece, has it worked on, and shows both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pid_client import run, texts
from pid_client.background import Background
from pid_client.editor import Source
from pid_client.job import Finished
from pid_client.options import UPSCALE, options_for
from pid_client.session import Session
from pid_protocol.errors import PidError
from pid_protocol.pixels import PixelFormat, Region

from .editor import GimpEditor
from .spot import Spot, SpotView, spot_at, thumbnail


class Trial:
    """The spot of one dialog.

    Args:
        editor: reads the pixels.
        source: the layer.
        selection: its selected part, which the first spot lies in.
        kind: of job.
        options: gives the rows as they are set now.
        background: speaks to the daemon.
    """

    def __init__(
        self,
        editor: GimpEditor,
        source: Source,
        selection: Region | None,
        kind: str,
        options: Callable[[], dict[str, Any]],
        background: Background,
    ) -> None:
        self._editor, self._source = editor, source
        self._kind, self._options = kind, options
        self._background = background
        part = selection or Region(0, 0, source.image.width, source.image.height)
        self._centre = part.x + part.width / 2, part.y + part.height / 2
        small = thumbnail(source.handle.seen, source.image.width, source.image.height)
        self.view = SpotView(small, self._pick)
        self.view.button.connect("clicked", lambda *_: self._try())
        self._look(*self._wanted())

    def _pick(self, across: float, down: float) -> None:
        image = self._source.image
        self._centre = across * image.width, down * image.height
        self._try()

    def _wanted(self) -> tuple[str, dict[str, Any]]:
        """The daemon's kind of job, and the rows that it has a use for."""
        options = self._options()
        kind = run.job_kind(self._kind, options.get("placement", run.SAME_SIZE))
        rows = {row.name for row in options_for(kind) if not row.editor_only}
        return kind, {name: value for name, value in options.items() if name in rows}

    def _look(self, kind: str, options: dict[str, Any]) -> tuple[Spot, bytes]:
        """Show the spot as it is; returns it and its pixels."""
        scale = options["scale"] if kind == UPSCALE else 1.0
        spot = spot_at(self._source, *self._centre, scale)
        pixels = self._editor.read_screen(self._source, spot.read)
        self.view.mark(spot, self._source)
        self.view.show_source(spot, pixels, scale)
        return spot, pixels

    def _try(self) -> None:
        kind, options = self._wanted()
        spot, pixels = self._look(kind, options)
        image = PixelFormat(spot.read.width, spot.read.height, "rgba")
        source = replace(self._source, image=image, icc=None)

        def work(session: Session) -> Iterator[Any]:
            yield from run.try_spot(session, source, pixels, kind, options, wait_s=0.1)

        def show(event: Any) -> None:
            if isinstance(event, Finished):
                self.view.compare(spot, pixels, event)
                self.view.say("")
            elif isinstance(event, PidError):
                self.view.say(str(event))
            elif isinstance(event, run.Update):
                self.view.say(event.text)

        self.view.say(texts.READING)
        self._background.ask("spot", work, show)
