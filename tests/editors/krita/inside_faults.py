# SPDX-License-Identifier: Apache-2.0
"""Runs inside Krita's window: cancels, and daemons that die or are not there."""

import hashlib
import json
import os
import signal
import time
import traceback
from pathlib import Path

from inside_tools import CASES, KRITA, case, closed, opened, until, use
from PyQt5 import QtWidgets

PLACE = Path(os.environ["PID_CONNECTION_FILE"])


def state(document):
    data = bytes(document.pixelData(0, 0, document.width(), document.height()))
    names = [node.name() for node in document.rootNode().childNodes()]
    return [hashlib.sha256(data).hexdigest(), names, document.width(), document.height()]


def desk():
    docker = next(d for d in KRITA.dockers() if d.objectName() == "pid_docker")
    docker.setVisible(True)
    return docker


def button(text):
    found = [b for b in desk().findChildren(QtWidgets.QPushButton) if b.text() == text]
    return found[0]


def runs():
    from pid_krita.docker import PidDocker

    return PidDocker.workbench.runs.all


def boxes():
    return [
        w
        for w in QtWidgets.QApplication.topLevelWidgets()
        if isinstance(w, QtWidgets.QMessageBox) and w.isVisible()
    ]


def begun():
    """Generator: a long run, until its first tiles are done."""
    use("upscale", engine="compact", scale=4.0)
    KRITA.action("pid_upscale_again").trigger()
    yield from until(lambda: runs() and not runs()[-1].is_over and runs()[-1].fraction > 0.05)


def idle():
    from pid_client.session import Session
    from pid_protocol.messages import GetStatus

    with Session.connect(client="test") as session:
        jobs = session.request(GetStatus()).jobs
    return not any(jobs.get(name) for name in ("receiving", "queued", "running"))


@case
def cancel():
    document = yield from opened("large")
    before = state(document)
    yield from begun()
    began = time.monotonic()
    button("Cancel").click()
    was_idle = yield from until(idle, 5)
    report = {"idle": was_idle, "idle_s": time.monotonic() - began}
    report["same"] = state(document) == before
    report["text"] = runs()[-1].text
    report["boxes"] = len(boxes())
    yield from closed(document)
    return report


@case
def killed():
    """kill -9 of the daemon mid-run; then one click is enough, a new daemon is started."""
    document = yield from opened("large")
    before = state(document)
    yield from begun()
    os.kill(json.loads(PLACE.read_text())["pid"], signal.SIGKILL)
    began = time.monotonic()
    told = yield from until(boxes, 10)
    report = {"told": told, "told_s": time.monotonic() - began, "same": state(document) == before}
    report["said"] = [box.text() + " " + box.informativeText() for box in boxes()]
    for box in boxes():
        box.close()
    yield from closed(document)
    document = yield from opened("pattern")
    use("enhance")
    KRITA.action("pid_enhance_again").trigger()
    again = yield from until(lambda: len(document.rootNode().childNodes()) == 2 or boxes(), 60)
    report["again"] = [again, [box.informativeText() for box in boxes()]]
    yield from closed(document)
    return report


@case
def missing_weights():
    """The engine that needs weights, and there are none: words, and nothing else."""
    document = yield from opened("pattern")
    before = state(document)
    use("enhance", engine="pid")
    KRITA.action("pid_enhance_again").trigger()
    yield from until(boxes, 60)
    report = {"said": [box.text() + " " + box.informativeText() for box in boxes()]}
    report["same"] = state(document) == before
    for box in boxes():
        box.close()
    yield from closed(document)
    return report


@case
def licence():
    """The question about a licence: yes is told to the daemon, and the run begins again."""
    from pid_krita.docker import PidDocker

    from pid_protocol.errors import LicenceNotAccepted

    document = yield from opened("pattern")
    use("enhance")
    KRITA.action("pid_enhance_again").trigger()
    yield from until(lambda: runs() and runs()[-1].is_over)
    ended, count = runs()[-1], len(runs())
    ended.error = LicenceNotAccepted("Its licence was never acknowledged.")
    PidDocker.workbench.tell_end(ended)
    asked = boxes()[0]
    report = {"asked": asked.informativeText(), "default": asked.defaultButton().text()}
    yes = next(b for b in asked.buttons() if asked.buttonRole(b) == asked.AcceptRole)
    yes.click()
    report["again"] = yield from until(lambda: len(runs()) == count + 1, 20)
    yield from until(lambda: runs()[-1].is_over)
    report["error"] = str(runs()[-1].error)
    yield from closed(document)
    return report


def drive(krita):
    report = {}
    for name in os.environ["CASES"].split():
        try:
            report[name] = yield from CASES[name]()
        except Exception:
            report[name] = {"failed": traceback.format_exc()}
        yield 0.2
    return report
