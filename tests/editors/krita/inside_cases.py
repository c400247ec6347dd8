# SPDX-License-Identifier: Apache-2.0
"""Runs inside Krita's window: carries out the cases that the environment names and reports. What is
right is decided outside, in test_cases.py.
"""

import hashlib
import json
import os
import traceback

from inside_tools import CASES, KRITA, LIMIT_S, OUT, case, closed, opened, until, use
from krita import Selection


def layers(document):
    return [node for node in document.rootNode().childNodes() if "layer" in node.type()]


def every_node(node):
    for child in node.childNodes():
        yield child
        yield from every_node(child)


def projection(node, bounds=None):
    b = bounds or node.bounds()
    return bytes(node.projectionPixelData(b.x(), b.y(), b.width(), b.height()))


def digest(node):
    b = node.bounds()
    data = projection(node)
    place = f"{b.x()},{b.y()},{b.width()},{b.height()}".encode()
    return hashlib.sha256(place + data).hexdigest()[:16]


def box(node):
    b = node.bounds()
    return [b.x(), b.y(), b.width(), b.height()]


def seen(document):
    return bytes(document.pixelData(0, 0, document.width(), document.height()))


def about(node):
    return {
        "name": node.name(), "type": node.type(), "box": box(node), "opacity": node.opacity(),
        "blend": node.blendingMode(), "model": node.colorModel(), "depth": node.colorDepth(),
        "profile": node.colorProfile(), "visible": node.visible(),
    }  # fmt: skip


def undo_text():
    undo, redo = KRITA.action("edit_undo"), KRITA.action("edit_redo")
    return [undo.isEnabled(), redo.isEnabled()]


def said():
    """Texts of the message boxes that stand open; closes them."""
    from PyQt5 import QtWidgets

    found = []
    for widget in QtWidgets.QApplication.topLevelWidgets():
        if isinstance(widget, QtWidgets.QMessageBox) and widget.isVisible():
            found.append(widget.text() + "\n" + widget.informativeText())
            widget.close()
    return found


def enhanced(document, node=None, action="pid_enhance_again", **options):
    """Generator: enhances a layer; reports the new one beside the old one."""
    use("enhance", **options)
    if node is not None:
        document.setActiveNode(node)
        yield from until(lambda: document.activeNode() == node)
    source = document.activeNode()
    others = {n.uniqueId().toString(): digest(n) for n in every_node(document.rootNode())}
    before, count = projection(source), len(list(every_node(document.rootNode())))
    KRITA.action(action).trigger()
    came = yield from until(
        lambda: len(list(every_node(document.rootNode()))) > count or said_kept(), LIMIT_S
    )
    if not came or KEPT:
        boxes, KEPT[:] = list(KEPT), []
        return {"said": boxes, "count": len(list(every_node(document.rootNode()))) - count}
    document.waitForDone()
    yield 0.3
    after = {n.uniqueId().toString(): digest(n) for n in every_node(document.rootNode())}
    shown = seen(document)
    document.refreshProjection()
    document.waitForDone()
    new = next(n for n in every_node(document.rootNode()) if n.uniqueId().toString() not in others)
    siblings = new.parentNode().childNodes()
    index = [n.uniqueId() for n in siblings].index(new.uniqueId())
    return {
        "source": about(source), "new": about(new), "size": [document.width(), document.height()],
        "is_above": siblings[index - 1].uniqueId() == source.uniqueId() if index else False,
        "same_bytes": projection(new, source.bounds()) == before,
        "others_same": all(after[key] == value for key, value in others.items()),
        "undo": undo_text(), "is_shown": seen(document) == shown,
    }  # fmt: skip


def job_list():
    """The docker's list, seen, so that it looks for results."""
    from PyQt5 import QtWidgets

    docker = next(d for d in KRITA.dockers() if d.objectName() == "pid_docker")
    docker.setVisible(True)
    docker.raise_()
    return next(w for w in docker.findChildren(QtWidgets.QListWidget))


def waiting(jobs):
    items = [jobs.item(i) for i in range(jobs.count())]
    return [item for item in items if item.text().startswith("Recover: ")]


KEPT = []


def said_kept():
    KEPT.extend(said())
    return bool(KEPT)


# --- cases -------------------------------------------------------------------------------------


@case
def plain():
    document = yield from opened("pattern")
    report = yield from enhanced(document)
    KRITA.action("edit_undo").trigger()
    document.waitForDone()
    yield 0.3
    report["after_undo"] = [n.name() for n in layers(document)]
    KRITA.action("edit_redo").trigger()
    document.waitForDone()
    yield 0.3
    report["after_redo"] = [n.name() for n in layers(document)]
    report["redo_bytes"] = projection(layers(document)[-1]) == projection(layers(document)[0])
    report["annotation"] = document.annotationTypes()
    yield from closed(document)
    return report


def picture(name, **options):
    def run():
        document = yield from opened(name)
        report = yield from enhanced(document, **options)
        yield from closed(document)
        return report

    run.__name__ = name.replace("/", "_")
    return run


for size in ("1x1", "7x5", "gray"):
    CASES["picture_" + size] = picture(size)


def in_space(model, depth, profile):
    def run():
        document = yield from opened("pattern")
        document.setColorSpace(model, depth, profile)
        document.waitForDone()
        yield 0.2
        report = yield from enhanced(document)
        yield from closed(document)
        return report

    return run


def profile_like(model, depth, *words):
    for word in words:
        for name in KRITA.profiles(model, depth):
            if word.casefold() in name.casefold():
                return name
    return KRITA.profiles(model, depth)[0]


CASES["u16"] = in_space("RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc")
CASES["f16"] = in_space("RGBA", "F16", "sRGB-elle-V2-srgbtrc.icc")
CASES["f32_linear"] = in_space("RGBA", "F32", "sRGB-elle-V2-g10.icc")
CASES["gray16"] = in_space("GRAYA", "U16", profile_like("GRAYA", "U16", "srgbtrc", "gray"))
CASES["adobe_rgb"] = in_space("RGBA", "U8", profile_like("RGBA", "U8", "ClayRGB", "Adobe"))
CASES["cmyk"] = in_space("CMYKA", "U8", profile_like("CMYKA", "U8", "chemical", "cmyk"))
CASES["lab"] = in_space("LABA", "U16", profile_like("LABA", "U16", "lab"))


@case
def offset_layer():
    """A layer that reaches beyond the canvas, half transparent, multiplied."""
    document = yield from opened("photo")
    node = document.createNode("far", "paintlayer")
    node.setPixelData(bytes(range(256)) * 48, -20, -10, 64, 48)
    node.setOpacity(153)
    node.setBlendingMode("multiply")
    document.rootNode().addChildNode(node, None)
    document.waitForDone()
    yield 0.3
    report = yield from enhanced(document, node)
    KRITA.action("edit_undo").trigger()
    document.waitForDone()
    yield 0.3
    report["after_undo"] = [n.name() for n in layers(document)]
    yield from closed(document)
    return report


@case
def group():
    document = yield from opened("photo")
    folder = document.createGroupLayer("folder")
    node = document.createNode("inside", "paintlayer")
    node.setPixelData(bytes(range(256)) * 48, 30, 20, 64, 48)
    document.rootNode().addChildNode(folder, None)
    folder.addChildNode(node, None)
    document.refreshProjection()
    document.waitForDone()
    yield 0.3
    report = yield from enhanced(document, folder)
    yield from closed(document)
    return report


@case
def masked_layer():
    document = yield from opened("pattern")
    node = document.activeNode()
    selection = Selection()
    selection.select(10, 10, 20, 20, 255)
    mask = document.createTransparencyMask("mask")
    mask.setSelection(selection)
    node.addChildNode(mask, None)
    document.refreshProjection()
    document.waitForDone()
    yield 0.3
    report = yield from enhanced(document, node)
    yield from closed(document)
    return report


@case
def mask_chosen():
    document = yield from opened("pattern")
    mask = document.createTransparencyMask("mask")
    document.activeNode().addChildNode(mask, None)
    document.waitForDone()
    yield 0.3
    report = yield from enhanced(document, mask)
    yield from closed(document)
    return report


@case
def locked():
    document = yield from opened("pattern")
    document.activeNode().setLocked(True)
    report = yield from enhanced(document)
    yield from closed(document)
    return report


@case
def empty():
    document = yield from opened("pattern")
    node = document.createNode("nothing", "paintlayer")
    document.rootNode().addChildNode(node, None)
    document.waitForDone()
    report = yield from enhanced(document, node)
    yield from closed(document)
    return report


@case
def selection_inside():
    document = yield from opened("photo")
    selection = Selection()
    selection.select(100, 120, 80, 60, 255)
    document.setSelection(selection)
    yield 0.2
    report = yield from enhanced(document, feather=6, padding=32)
    if "new" in report:
        new = layers(document)[-1]
        for name, x, y in (("middle", 140, 150), ("edge", 100, 150), ("outside", 80, 150)):
            report[name] = list(bytes(new.pixelData(x, y, 1, 1)))
            report[name + "_source"] = list(bytes(layers(document)[0].pixelData(x, y, 1, 1)))
    yield from closed(document)
    return report


@case
def selection_outside():
    document = yield from opened("photo")
    node = document.createNode("small", "paintlayer")
    node.setPixelData(bytes(range(256)) * 4, 10, 10, 16, 16)
    document.rootNode().addChildNode(node, None)
    selection = Selection()
    selection.select(200, 200, 50, 50, 255)
    document.setSelection(selection)
    document.waitForDone()
    yield 0.2
    report = yield from enhanced(document, node)
    yield from closed(document)
    return report


@case
def grow():
    document = yield from opened("pattern")
    other = document.createNode("other", "paintlayer")
    other.setPixelData(b"\x10\x20\x30\xff" * 64, 4, 4, 8, 8)
    document.rootNode().addChildNode(other, None)
    document.waitForDone()
    yield 0.3
    source = layers(document)[0]
    document.setActiveNode(source)
    yield from until(lambda: document.activeNode() == source)
    use("upscale", scale=2.0, placement="grow")
    KRITA.action("pid_upscale_again").trigger()
    yield from until(lambda: len(layers(document)) == 3)
    document.waitForDone()
    yield 0.5
    report = {
        "size": [document.width(), document.height()],
        "nodes": [about(n) for n in layers(document)],
    }
    for step in ("one", "two"):
        KRITA.action("edit_undo").trigger()
        document.waitForDone()
        yield 0.4
        report["undo_" + step] = [document.width(), [n.name() for n in layers(document)]]
    yield from closed(document)
    return report


@case
def new_image_and_two_documents():
    """The result goes to where the run began, though another document is active by then."""
    first = yield from opened("photo")
    use("upscale", scale=2.0, placement="new-image", engine="compact")
    KRITA.action("pid_upscale_again").trigger()
    yield 0.1
    second = yield from opened("pattern")
    count = len(KRITA.documents())
    yield from until(lambda: len(KRITA.documents()) > count)
    yield 0.5
    made = KRITA.documents()[-1]
    report = {
        "made": [made.width(), made.height(), made.name(), made.resolution()],
        "first": len(layers(first)), "second": len(layers(second)),
        "source_resolution": first.resolution(),
    }  # fmt: skip
    for document in (made, second, first):
        yield from closed(document)
    return report


@case
def document_closed_mid_job():
    document = yield from opened("photo")
    use("enhance", engine="compact")
    KRITA.action("pid_enhance_again").trigger()
    yield 0.3
    yield from closed(document)
    yield from until(said_kept, 60)
    report = {"said": list(KEPT)}
    KEPT[:] = []
    jobs = job_list()
    count = len(KRITA.documents())
    yield from until(lambda: waiting(jobs))
    report["waiting"] = [item.text() for item in waiting(jobs)]
    jobs.itemActivated.emit(waiting(jobs)[0])
    yield from until(lambda: len(KRITA.documents()) > count)
    yield 0.5
    made = KRITA.documents()[-1]
    report["recovered"] = [made.width(), made.height(), [n.name() for n in layers(made)]]
    yield from until(lambda: not waiting(job_list()))
    report["left"] = len(waiting(jobs))
    yield from closed(made)
    return report


@case
def several_layers():
    document = yield from opened("pattern")
    other = document.createNode("other", "paintlayer")
    other.setPixelData(bytes(range(256)) * 4, 4, 4, 16, 16)
    document.rootNode().addChildNode(other, None)
    document.waitForDone()
    yield 0.3
    report = yield from enhanced(document, other)
    yield from closed(document)
    return report


def drive(krita):
    report = {}
    for name in os.environ["CASES"].split():
        try:
            report[name] = yield from CASES[name]()
        except Exception:
            report[name] = {"failed": traceback.format_exc()}
        with open(OUT + "/so-far.json", "w") as file:
            json.dump(report, file, default=str)
        yield 0.2
    return report
