# SPDX-License-Identifier: Apache-2.0
"""Runs inside Krita's window: what the README shows."""

import os

from inside_tools import OUT, opened, until, use
from PyQt5 import QtCore, QtWidgets


def drive(krita):
    from pid_krita.docker import PidDocker

    window = krita.activeWindow().qwindow()
    window.resize(1500, 940)
    desk = next(d for d in krita.dockers() if d.objectName() == "pid_docker")
    yield from opened("photo")
    use("upscale", engine="compact")
    use("enhance", engine="compact")
    for docker in krita.dockers():
        docker.setVisible(docker.objectName() in ("pid_docker", "KisLayerBox"))
    yield 2.0
    window.resizeDocks([desk], [700], QtCore.Qt.Orientation.Vertical)
    window.resizeDocks([desk], [330], QtCore.Qt.Orientation.Horizontal)
    yield 1.0
    desk.grab().save(OUT + "/krita-docker.png")

    bar = window.menuBar()
    menu = next(a for a in bar.actions() if a.text().replace("&", "") == "Filter").menu()
    menu.popup(bar.mapToGlobal(QtCore.QPoint(260, bar.height())))
    yield 1.0
    window.screen().grabWindow(0).save(OUT + "/krita-menu.png")
    menu.close()
    yield 0.3

    krita.action("pid_upscale").trigger()
    yield 1.5
    dialog = next(
        w
        for w in QtWidgets.QApplication.topLevelWidgets()
        if w.objectName() == "pid_upscale_dialog"
    )
    dialog.grab().save(OUT + "/krita-dialog.png")
    dialog.reject()

    runs = PidDocker.workbench.runs.all
    krita.action("pid_enhance_again").trigger()
    yield from until(lambda: runs and runs[-1].preview is not None and runs[-1].fraction > 0.3)
    yield 0.1
    window.grab().save(OUT + "/krita-running.png")
    yield from until(lambda: runs[-1].is_over)

    spot = next(b for b in desk.findChildren(QtWidgets.QPushButton) if b.text() == "Try a Spot")
    spot.click()
    labels = desk.findChildren(QtWidgets.QLabel)
    yield 0.5
    yield from until(lambda: any(label.text() == "Done" for label in labels))
    yield 1.0
    window.grab().save(OUT + "/krita-done.png")
    return sorted(name for name in os.listdir(OUT) if name.startswith("krita-"))
