# SPDX-License-Identifier: Apache-2.0
"""`pid_client.editor.Editor` on one document of Krita. Main thread only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pid_client import texts
from pid_client.editor import Placed, Source
from pid_protocol.errors import InvalidImage
from pid_protocol.pixels import PixelFormat, Region

from . import formats, placing
from .profiles import icc_bytes

_LAYERS = ("paintlayer", "grouplayer", "vectorlayer", "clonelayer", "filelayer", "filllayer")


@dataclass(frozen=True)
class Chosen:
    """A layer that is worked on."""

    node: Any
    """What the person chose."""
    seen: Any
    """What is read: the node, or a copy of it in another colour space."""
    x: int
    """Where its pixels lie on the canvas."""
    y: int


class KritaEditor:
    """One document and its chosen layers.

    Args:
        document: krita.Document; None when only a new one will be made.
        nodes: what the person chose, topmost first.
        keep_source: whether the sources stay visible.
    """

    def __init__(self, document: Any, nodes: Sequence[Any], keep_source: bool = True) -> None:
        self.document = document
        self._nodes = nodes
        self._keep_source = keep_source
        self._sources: list[Source] | None = None
        self.notices: list[str] = []
        """Sentences about conversions."""

    def sources(self) -> Sequence[Source]:
        """The chosen layers; see `Editor.sources`."""
        if self._sources is None:
            if not self._nodes:
                raise InvalidImage(texts.NO_LAYER)
            self._sources = [self._source(node) for node in self._nodes]
        return self._sources

    def selection(self, source: Source) -> Region | None:
        """Bounds of the selection in the layer's pixels; see `Editor.selection`."""
        chosen = self.document.selection()
        if chosen is None or chosen.width() <= 0 or chosen.height() <= 0:
            return None
        layer: Chosen = source.handle
        x, y = max(chosen.x() - layer.x, 0), max(chosen.y() - layer.y, 0)
        right = min(chosen.x() + chosen.width() - layer.x, source.image.width)
        bottom = min(chosen.y() + chosen.height() - layer.y, source.image.height)
        if right <= x or bottom <= y:
            raise InvalidImage(texts.SELECTION_OUTSIDE.format(name=source.name))
        return Region(x, y, right - x, bottom - y)

    def read_pixels(self, source: Source, region: Region) -> Iterator[bytes]:
        """The layer's projection, strip by strip; see `Editor.read_pixels`."""
        layer: Chosen = source.handle
        for first, rows in formats.strips(
            replace(source.image, width=region.width, height=region.height)
        ):
            x, y = layer.x + region.x, layer.y + region.y + first
            yield bytes(layer.seen.projectionPixelData(x, y, region.width, rows))

    def read_mask(self, source: Source, region: Region) -> bytes:
        """Coverage of the selection; see `Editor.read_mask`."""
        layer: Chosen = source.handle
        x, y = layer.x + region.x, layer.y + region.y
        chosen = self.document.selection()
        return bytes(chosen.pixelData(x, y, region.width, region.height))

    def commit(self, placement: str, results: Sequence[Placed]) -> Iterator[None]:
        """Put all results in place; see `Editor.commit`."""
        if placement == "new-image":
            yield from placing.as_new_documents(self.document, results)
            return
        placing.check_still_there(self.document, [one.source.handle.node for one in results])
        yield from placing.above_sources(self.document, results, placement == "grow")
        if not self._keep_source:
            for one in results:
                one.source.handle.node.setVisible(False)
            self.document.refreshProjection()

    def _source(self, node: Any) -> Source:
        name = node.name()
        if node.type() not in _LAYERS:
            raise InvalidImage(texts.NOT_A_LAYER.format(name=name))
        if node.locked():
            raise InvalidImage(texts.LOCKED_LAYER.format(name=name))
        if node.animated():
            raise InvalidImage(texts.ANIMATED_LAYER.format(name=name))
        bounds = node.bounds()
        if bounds.width() <= 0 or bounds.height() <= 0:
            raise InvalidImage(texts.EMPTY_LAYER.format(name=name))
        seen = self._readable(node)
        image = formats.pixel_format(
            seen.colorModel(), seen.colorDepth(), bounds.width(), bounds.height()
        )
        chosen = Chosen(node, seen, bounds.x(), bounds.y())
        return _with_profile(chosen, name, image)

    def _readable(self, node: Any) -> Any:
        model, depth, profile = node.colorModel(), node.colorDepth(), node.colorProfile()
        if formats.is_native(model, depth) and (
            formats.encoding_of_srgb(profile) or icc_bytes(model, profile)
        ):
            return node
        copy = node.duplicate()
        to_model, to_profile = formats.WORKING_SPACE
        if not copy.setColorSpace(to_model, formats.converted_depth(depth), to_profile):
            raise InvalidImage(f"Krita cannot convert {node.name()} from {model} {depth} to RGB.")
        self.notices.append(texts.CONVERTED_LAYER.format(name=node.name(), what=model))
        return copy


def _with_profile(chosen: Chosen, name: str, image: PixelFormat) -> Source:
    profile = chosen.seen.colorProfile()
    encoding = formats.encoding_of_srgb(profile)
    if encoding is not None:
        return Source(chosen, name, replace(image, encoding=encoding))
    icc = icc_bytes(chosen.seen.colorModel(), profile)
    return Source(chosen, name, replace(image, profile="icc"), icc)
