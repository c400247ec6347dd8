# SPDX-License-Identifier: Apache-2.0
"""A small piece of the layer to try: before and after, with a split that follows the mouse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gi.repository import GdkPixbuf, GLib, Gtk

from pid_client import texts
from pid_client.editor import Source
from pid_client.job import Finished
from pid_protocol.pixels import Region

SIDE_PX = 256
"""Side of what is shown, in pixels of the result."""
_CONTEXT_PX = 24
_MAP_PX = 128


@dataclass(frozen=True)
class Spot:
    """A piece of a layer, and what is read around it for context."""

    shown: Region
    """What is compared, in the layer's pixels."""
    read: Region
    """What is sent."""


def spot_at(source: Source, x: float, y: float, scale: float) -> Spot:
    """The spot around a point of the layer, moved inside where it would stick out."""
    size = source.image.width, source.image.height
    side = max(8, round(SIDE_PX / scale))
    width, height = min(side, size[0]), min(side, size[1])
    left = min(max(round(x - width / 2), 0), size[0] - width)
    top = min(max(round(y - height / 2), 0), size[1] - height)
    outer = max(left - _CONTEXT_PX, 0), max(top - _CONTEXT_PX, 0)
    read = Region(
        *outer,
        min(left + width + _CONTEXT_PX, size[0]) - outer[0],
        min(top + height + _CONTEXT_PX, size[1]) - outer[1],
    )
    return Spot(Region(left, top, width, height), read)


class SpotView(Gtk.Box):
    """A map to pick the spot on, and the comparison.

    Args:
        thumbnail: the whole layer, small.
        pick: called with the point that was clicked, as parts of width and height.
    """

    def __init__(self, thumbnail: GdkPixbuf.Pixbuf, pick: Callable[[float, float], None]) -> None:
        super().__init__(orientation=Gtk.Orientation.HORIZONTAL, spacing=12)
        self._thumbnail = thumbnail
        self._pick = pick
        self._pair: tuple[GdkPixbuf.Pixbuf, GdkPixbuf.Pixbuf] | None = None
        self._split = 0.5
        self._map = Gtk.Image.new_from_pixbuf(thumbnail)
        self._picture = Gtk.Image()
        self._picture.set_size_request(SIDE_PX, SIDE_PX)
        self._said = Gtk.Label(label="", wrap=True, xalign=0.0, max_width_chars=20)
        self.button = Gtk.Button.new_with_mnemonic(f"_{texts.SPOT_LABEL}")
        self.button.set_tooltip_text("Work on a small piece first; click the picture to choose it.")
        left = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        left.pack_start(self._listening(self._map, "button-press-event", self._on_map), 0, 0, 0)
        left.pack_start(self.button, False, False, 0)
        left.pack_start(self._said, False, False, 0)
        self.pack_start(left, False, False, 0)
        self.pack_start(self._compare(), False, False, 0)
        self.show_all()

    def show_source(self, spot: Spot, before: bytes, scale: float) -> None:
        """Show the piece as it is, at the size that the result will have.

        Args:
            spot: where it lies.
            before: sRGB with alpha, 8 bits, of `spot.read`.
            scale: of the result.
        """
        size = round(spot.read.width * scale), round(spot.read.height * scale)
        enlarged = _pixbuf(before, spot.read.width, spot.read.height).scale_simple(
            *size, GdkPixbuf.InterpType.BILINEAR
        )
        self._pair = None
        self._slider.set_sensitive(False)
        self._picture.set_from_pixbuf(_shown(enlarged, spot))

    def say(self, text: str) -> None:
        """Show a line below the button."""
        self._said.set_text(text)

    def mark(self, spot: Spot, source: Source) -> None:
        """Show on the map where the spot is."""
        copy = self._thumbnail.copy()
        across = copy.get_width() / source.image.width
        down = copy.get_height() / source.image.height
        x, y = int(spot.shown.x * across), int(spot.shown.y * down)
        width = min(max(4, int(spot.shown.width * across)), copy.get_width() - x)
        height = min(max(4, int(spot.shown.height * down)), copy.get_height() - y)
        for left, top, w, h in (
            (x, y, width, 1), (x, y + height - 1, width, 1),
            (x, y, 1, height), (x + width - 1, y, 1, height),
        ):  # fmt: skip
            copy.new_subpixbuf(left, top, w, h).fill(0xFF8000FF)
        self._map.set_from_pixbuf(copy)

    def compare(self, spot: Spot, before: bytes, finished: Finished) -> None:
        """Show the result beside the source.

        Args:
            spot: what was sent.
            before: sRGB with alpha, 8 bits, of `spot.read`.
            finished: the answer to that.
        """
        made = finished.image
        old = _pixbuf(before, spot.read.width, spot.read.height).scale_simple(
            made.width, made.height, GdkPixbuf.InterpType.BILINEAR
        )
        new = _pixbuf(bytes(finished.pixels), made.width, made.height)
        self._pair = _shown(old, spot), _shown(new, spot)
        self._slider.set_sensitive(True)
        self._paint()

    def _compare(self) -> Gtk.Box:
        events = self._listening(self._picture, "motion-notify-event", self._on_motion)
        slider = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0.0, 1.0, 0.05)
        slider.set_value(self._split)
        slider.set_draw_value(False)
        slider.connect("value-changed", lambda one: self._move(one.get_value()))
        self._slider = slider
        names = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL)
        names.pack_start(Gtk.Label(label=texts.BEFORE), False, False, 0)
        names.pack_end(Gtk.Label(label=texts.AFTER), False, False, 0)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=2)
        for widget in (events, slider, names):
            box.pack_start(widget, False, False, 0)
        return box

    def _listening(self, child: Gtk.Widget, signal: str, handler: object) -> Gtk.EventBox:
        box = Gtk.EventBox()
        box.set_halign(Gtk.Align.CENTER)
        box.add(child)
        if signal.startswith("motion"):
            box.add_events(4)  # GDK_POINTER_MOTION_MASK
        box.connect(signal, handler)
        return box

    def _on_map(self, widget: Gtk.Widget, event: object) -> None:
        size = widget.get_allocated_width(), widget.get_allocated_height()
        self._pick(event.x / size[0], event.y / size[1])

    def _on_motion(self, widget: Gtk.Widget, event: object) -> None:
        self._slider.set_value(event.x / max(1, widget.get_allocated_width()))

    def _move(self, split: float) -> None:
        self._split = split
        self._paint()

    def _paint(self) -> None:
        if self._pair is None:
            return
        before, after = self._pair
        shown = after.copy()
        width, height = shown.get_width(), shown.get_height()
        split = min(int(width * self._split), width - 1)
        if split:
            before.copy_area(0, 0, split, height, shown, 0, 0)
        shown.new_subpixbuf(split, 0, 1, height).fill(0xFFFFFFFF)
        self._picture.set_from_pixbuf(shown)


def thumbnail(drawable: object, width: int, height: int) -> GdkPixbuf.Pixbuf:
    """The whole layer, at most as large as the map."""
    scale = min(1.0, _MAP_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return drawable.get_thumbnail(*size, 0)  # KEEP_ALPHA


def _shown(picture: GdkPixbuf.Pixbuf, spot: Spot) -> GdkPixbuf.Pixbuf:
    """The compared part of a picture of everything that was read."""
    across = picture.get_width() / spot.read.width
    down = picture.get_height() / spot.read.height
    x = round((spot.shown.x - spot.read.x) * across)
    y = round((spot.shown.y - spot.read.y) * down)
    width = min(round(spot.shown.width * across), picture.get_width() - x)
    height = min(round(spot.shown.height * down), picture.get_height() - y)
    return picture.new_subpixbuf(x, y, width, height)


def _pixbuf(pixels: bytes, width: int, height: int) -> GdkPixbuf.Pixbuf:
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(pixels), GdkPixbuf.Colorspace.RGB, True, 8, width, height, width * 4
    )
