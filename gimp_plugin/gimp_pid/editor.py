# SPDX-License-Identifier: Apache-2.0
"""`pid_client.editor.Editor` on one image of GIMP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gi.repository import Gimp

from pid_client import texts
from pid_client.editor import Placed, Source
from pid_protocol.errors import InvalidImage
from pid_protocol.pixels import Region

from . import pixels, placing

CONVERTED = "The image was converted from indexed colours to RGB first."


@dataclass(frozen=True)
class Chosen:
    """A layer that is worked on."""

    layer: Gimp.Layer
    """What the person chose."""
    seen: Gimp.Drawable
    """What is read: the layer, or a copy of it with its filters merged."""
    x: int
    """Where `seen` lies on the canvas."""
    y: int


class GimpEditor:
    """One image and the drawables that a procedure was called with.

    Args:
        image: the image; None when only a new one will be made.
        drawables: what the person chose.
    """

    def __init__(self, image: Gimp.Image | None, drawables: Sequence[Gimp.Drawable]) -> None:
        self._image = image
        self._drawables = drawables
        self._merged: list[Gimp.Image] = []
        self._sources: list[Source] | None = None
        self.target: Gimp.Image | None = None
        """The image that holds the results."""
        self.is_new = False
        """Whether `target` is a new image, which nobody sees yet."""
        self.notices: list[str] = []
        """Sentences about what was done besides."""

    def sources(self) -> Sequence[Source]:
        """The chosen layers, topmost first; see `Editor.sources`."""
        if self._sources is None:
            if not self._drawables:
                raise InvalidImage(texts.NO_LAYER)
            self._sources = [self._source(one) for one in self._drawables]
        return self._sources

    def selection(self, source: Source) -> Region | None:
        """Bounds of the selection in the layer's pixels; see `Editor.selection`."""
        _, is_selected, left, top, right, bottom = Gimp.Selection.bounds(self._image)
        if not is_selected:
            return None
        chosen, size = source.handle, source.image
        x, y = max(left - chosen.x, 0), max(top - chosen.y, 0)
        width = min(right - chosen.x, size.width) - x
        height = min(bottom - chosen.y, size.height) - y
        if width <= 0 or height <= 0:
            raise InvalidImage(texts.SELECTION_OUTSIDE.format(name=source.name))
        return Region(x, y, width, height)

    def read_pixels(self, source: Source, region: Region) -> Sequence[bytes]:
        """The layer's pixels; see `Editor.read_pixels`."""
        seen = source.handle.seen
        return (pixels.read(seen, region, pixels.babl_name(source.image, seen)),)

    def read_mask(self, source: Source, region: Region) -> bytes:
        """Coverage of the selection; see `Editor.read_mask`."""
        chosen = source.handle
        part = Region(region.x + chosen.x, region.y + chosen.y, region.width, region.height)
        return pixels.read(self._image.get_selection(), part, "Y u8")

    def read_screen(self, source: Source, region: Region) -> bytes:
        """The layer's pixels as sRGB with alpha, 8 bits: what a screen shows."""
        return pixels.read(source.handle.seen, region, pixels.SRGB)

    def commit(self, placement: str, results: Sequence[Placed]) -> Sequence[None]:
        """Put all results in place as one undo step; see `Editor.commit`."""
        self.is_new = placement == "new-image"
        if self.is_new:
            self.target = placing.as_new_image(results)
            return ()
        if self._image is None or not self._image.is_valid():
            raise InvalidImage(texts.DOCUMENT_GONE)
        for one in results:
            if not one.source.handle.layer.is_valid():
                raise InvalidImage(texts.LAYER_DELETED.format(name=one.source.name))
        if self._image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            self.notices.append(CONVERTED)
        placing.above_sources(self._image, results, placement == "grow")
        self.target = self._image
        return ()

    def close(self) -> None:
        """Give back what was made for reading."""
        for image in self._merged:
            image.delete()
        self._merged.clear()

    def _source(self, drawable: Gimp.Drawable) -> Source:
        name = drawable.get_name()
        if not isinstance(drawable, Gimp.Layer):
            raise InvalidImage(texts.NOT_A_LAYER.format(name=name))
        if drawable.get_lock_content():
            raise InvalidImage(texts.LOCKED_LAYER.format(name=name))
        chosen = self._chosen(drawable)
        if pixels.is_transparent(chosen.seen):
            raise InvalidImage(texts.EMPTY_LAYER.format(name=name))
        image = pixels.format_of(chosen.seen)
        profile = drawable.get_image().get_color_profile()
        if profile is None:
            return Source(chosen, name, image)
        return Source(chosen, name, replace(image, profile="icc"), profile.get_icc_profile())

    def _chosen(self, layer: Gimp.Layer) -> Chosen:
        seen = self._with_filters(layer) if layer.get_filters() else layer
        _, x, y = seen.get_offsets()
        return Chosen(layer, seen, x, y)

    def _with_filters(self, layer: Gimp.Layer) -> Gimp.Layer:
        """A copy with the non-destructive filters merged, in an image of its own: the person's
        image, its history included, stays as it is."""
        image = layer.get_image()
        base = image.get_base_type()
        if base == Gimp.ImageBaseType.INDEXED:
            base = Gimp.ImageBaseType.RGB
        size = image.get_width(), image.get_height()
        own = Gimp.Image.new_with_precision(*size, base, image.get_precision())
        self._merged.append(own)
        own.undo_disable()
        if (profile := image.get_color_profile()) is not None:
            own.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, own)
        own.insert_layer(copy, None, 0)
        copy.set_offsets(*layer.get_offsets()[1:])
        if copy.get_mask() is not None:
            copy.remove_mask(Gimp.MaskApplyMode.DISCARD)
        if copy.is_group():
            copy.merge()
        else:
            copy.merge_filters()
        return own.get_layers()[0]
