# SPDX-License-Identifier: Apache-2.0
"""Results into documents. One undo step each: a node is made complete before it joins the tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from krita import Krita

from pid_client import texts
from pid_client.editor import Placed
from pid_protocol.errors import InvalidImage
from pid_protocol.pixels import PixelFormat

from . import formats
from .qt import QtCore

RECORD = "pid-record"
"""Annotation of a document: the records of its results, newest last."""
_SCALER = "Bicubic"


def check_still_there(document: Any, nodes: Sequence[Any]) -> None:
    """Refuse when the document or a layer has gone meanwhile.

    Raises:
        InvalidImage: nothing was changed.
    """
    if document not in Krita.instance().documents():
        raise InvalidImage(texts.DOCUMENT_GONE)
    for node in nodes:
        if document.nodeByUniqueID(node.uniqueId()) is None:
            raise InvalidImage(texts.LAYER_DELETED.format(name=node.name()))


def above_sources(document: Any, results: Sequence[Placed], grows: bool) -> Iterator[None]:
    """A new layer above each source.

    Args:
        document: krita.Document.
        results: what to place.
        grows: whether the document is scaled first, by the results' factor.
    Yields:
        Pauses. The document changes after the last one.
    """
    factor_x, factor_y = results[0].factors if grows else (1.0, 1.0)
    made: list[tuple[Any, Placed]] = []
    for one in results:
        source = one.source.handle
        left, top = source.x, source.y
        if one.region is not None:
            left, top = left + one.region.x, top + one.region.y
        node = _new_node(document, source.node, one)
        yield from _fill(
            node,
            one.finished.image,
            one.finished.pixels,
            round(left * factor_x),
            round(top * factor_y),
        )
        made.append((node, one))
    check_still_there(document, [one.source.handle.node for one in results])
    if grows:
        width, height = round(document.width() * factor_x), round(document.height() * factor_y)
        document.scaleImage(width, height, int(document.xRes()), int(document.yRes()), _SCALER)
        document.waitForDone()
    for node, one in made:
        source_node = one.source.handle.node
        source_node.parentNode().addChildNode(node, source_node)  # also refreshes what is seen
        _remember(document, one)
    last = made[0][0]
    # not at once: the layer's shape comes with a queued signal
    QtCore.QTimer.singleShot(0, lambda: document.setActiveNode(last))


def as_new_documents(document: Any, results: Sequence[Placed]) -> Iterator[None]:
    """A document of its own for each result, shown in the active window.

    Args:
        document: where the sources lie, for the resolution; None = 300 ppi.
        results: what to place.
    """
    krita = Krita.instance()
    for one in results:
        image = one.finished.image
        model, depth, profile = _space_of(one)
        resolution = float(document.resolution()) if document is not None else 300.0
        new = krita.createDocument(
            image.width, image.height, one.name, model, depth, profile, resolution
        )
        node = new.createNode(one.name, "paintlayer")
        yield from _fill(node, image, one.finished.pixels, 0, 0)
        for old in new.rootNode().childNodes():
            old.remove()
        new.rootNode().addChildNode(node, None)
        _remember(new, one)
        new.refreshProjection()
        krita.activeWindow().addView(new)


def _new_node(document: Any, source: Any, one: Placed) -> Any:
    """A paint layer with the source's blend mode and opacity, empty.

    Setting a blend mode is an undo step of its own even before a node joins the tree; a duplicate
    has it already.
    """
    if source.type() == "paintlayer" and source.blendingMode() != "normal":
        node = source.duplicate()
        for mask in node.childNodes():
            mask.remove()
        bounds = node.bounds()
        size = bounds.width() * bounds.height() * one.source.image.pixel_bytes
        node.setPixelData(bytes(size), bounds.x(), bounds.y(), bounds.width(), bounds.height())
        node.setName(one.name)
    else:
        node = document.createNode(one.name, "paintlayer")
        if source.blendingMode() != "normal":
            node.setBlendingMode(source.blendingMode())
    node.setOpacity(source.opacity())
    model, depth, profile = _space_of(one)
    if (node.colorModel(), node.colorDepth(), node.colorProfile()) != (model, depth, profile):
        node.setColorSpace(model, depth, profile)
    return node


def _space_of(one: Placed) -> tuple[str, str, str]:
    """Krita's model, depth and profile of a result: those that its source was read in."""
    if one.source.handle is not None:
        seen = one.source.handle.seen
        return seen.colorModel(), seen.colorDepth(), seen.colorProfile()
    return formats.krita_space(one.finished.image)


def _fill(node: Any, image: PixelFormat, pixels: bytearray, left: int, top: int) -> Iterator[None]:
    view = memoryview(pixels)
    for first, rows in formats.strips(image):
        start = first * image.row_bytes
        data = bytes(view[start : start + rows * image.row_bytes])
        node.setPixelData(data, left, top + first, image.width, rows)
        yield


def _remember(document: Any, one: Placed) -> None:
    """Store the settings with the document, so that they can be used again."""
    kept = read_records(document)
    kept.append(
        {"name": one.name, "kind": one.kind, "options": one.options, "record": one.finished.record}
    )
    data = json.dumps(kept[-50:], default=str).encode()
    document.setAnnotation(RECORD, "PiD Layers: settings of the results", data)


def read_records(document: Any) -> list[dict[str, Any]]:
    """What `_remember` stored, oldest first."""
    if RECORD not in document.annotationTypes():
        return []
    try:
        return list(json.loads(bytes(document.annotation(RECORD))))
    except ValueError:
        return []
