# SPDX-License-Identifier: Apache-2.0
"""Runs under PyQt6 with the stand-in for Krita: the docker is built, run and looked at."""

import json
import os
import sys
import time

from PyQt6 import QtWidgets

OUT = os.environ["OUT"]
sys.path[:0] = [os.environ["STANDIN"], os.environ["PLUGINS"]]
application = QtWidgets.QApplication([])

import krita  # noqa: E402
import pid_krita  # noqa: E402, F401  # registers itself
from pid_krita.extension import ACTIONS  # noqa: E402

KRITA = krita.Krita.instance()
WIDTH, HEIGHT = 96, 64


def until(look, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not look() and time.monotonic() < end:
        application.processEvents()
        time.sleep(0.005)
    return bool(look())


pixels = bytes((i * 7) & 255 if i % 4 != 3 else 255 for i in range(WIDTH * HEIGHT * 4))
KRITA.open(krita.Document(WIDTH, HEIGHT, pixels))
extension = KRITA.extensions[0]
extension.setup()
extension.createActions(KRITA.window)
docker = KRITA.factories[0].kind()
docker.resize(260, 900)
docker.show()
report = {"actions": sorted(KRITA.window.actions) == sorted(name for name, *_ in ACTIONS)}

for kind in ("upscale", "enhance"):
    KRITA.writeSetting("pid_krita", kind, json.dumps({"engine": "identity"}))
labels = docker.findChildren(QtWidgets.QLabel)
report["planned"] = until(lambda: any("384 × 256 px" in label.text() for label in labels))

document = KRITA.activeDocument()
KRITA.window.actions["pid_enhance_again"].trigger()
report["came"] = until(lambda: len(document.rootNode().childNodes()) == 2)
new = document.rootNode().childNodes()[-1]
report["same"] = bytes(new.pixels) == pixels
report["name"] = new.name()

buttons = {b.text(): b for b in docker.findChildren(QtWidgets.QPushButton)}
buttons["Try a Spot"].click()
report["spot"] = until(lambda: any(label.text() == "Done" for label in labels))
docker.grab().save(OUT + "/docker-qt6.png")

KRITA.window.actions["pid_upscale"].trigger()
application.processEvents()
dialogs = [w for w in application.topLevelWidgets() if w.objectName() == "pid_upscale_dialog"]
report["dialog"] = len(dialogs) == 1 and dialogs[0].isVisible()
report["pyqt5"] = any(name.startswith("PyQt5") for name in sys.modules)
KRITA.notifier().applicationClosing.emit()
with open(OUT + "/qt6.json", "w") as file:
    json.dump(report, file)
