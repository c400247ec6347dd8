# SPDX-License-Identifier: Apache-2.0
"""Runs inside Krita: a 4096 x 4096 layer goes and comes back; how long the window sleeps."""

import json
import time

from krita import Krita
from PyQt5 import QtCore

KRITA = Krita.instance()
SIDE = 4096


def timed(run, found):
    """Measure every step of a run, by what it was about."""
    plain = run.step

    def step():
        began = time.perf_counter()
        happened = plain()
        text = run.text
        found.setdefault(text, []).append(time.perf_counter() - began)
        return happened

    run.step = step


def drive(krita):
    from pid_krita.docker import PidDocker

    document = krita.createDocument(SIDE, SIDE, "big", "RGBA", "U8", "", 300.0)
    document.setBatchmode(True)
    node = document.rootNode().childNodes()[0]
    row = bytes(range(256)) * (SIDE * 4 // 256)
    for y in range(0, SIDE, 256):
        node.setPixelData(row * 256, 0, y, SIDE, 256)
    krita.activeWindow().addView(document)
    krita.setActiveDocument(document)
    while document.activeNode() is None:
        yield 0.05
    document.waitForDone()
    yield 2.0
    report = {}
    for attempt in range(3):
        gaps, last = [], [time.perf_counter()]

        def beat(gaps=gaps, last=last):
            now = time.perf_counter()
            gaps.append(now - last[0])
            last[0] = now

        timer = QtCore.QTimer()
        timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        timer.timeout.connect(beat)
        timer.start(2)
        yield 0.5
        gaps.clear()
        krita.writeSetting("pid_krita", "enhance", json.dumps({"engine": "identity"}))
        document.setActiveNode(node)
        yield 0.3
        gaps.clear()
        count = len(document.rootNode().childNodes())
        steps = {}
        began = time.perf_counter()
        krita.action("pid_enhance_again").trigger()
        runs = PidDocker.workbench.runs.all
        while len(runs) <= attempt:
            yield 0.001
        timed(runs[-1], steps)
        while not runs[-1].is_over:
            yield 0.01
        whole = time.perf_counter() - began
        timer.stop()
        report[str(attempt)] = {
            "whole_s": whole,
            "gaps_ms": [round(1000 * gap, 1) for gap in sorted(gaps)[-8:]],
            "slowest_steps_ms": {
                text: [round(1000 * s, 1) for s in sorted(times)[-3:]]
                for text, times in steps.items()
            },
            "layers": len(document.rootNode().childNodes()) - count,
            "error": str(runs[-1].error),
        }
        yield 1.0
    # what cannot be split, timed apart
    data = row * SIDE
    calls = {}

    def call(name, function):
        began = time.perf_counter()
        result = function()
        calls[name] = round(1000 * (time.perf_counter() - began), 1)
        return result

    new = call("createNode", lambda: document.createNode("timed", "paintlayer"))
    call("setPixelData 4 MiB", lambda: new.setPixelData(data[: 4 << 20], 0, 0, SIDE, 256))
    new.setPixelData(data, 0, 0, SIDE, SIDE)
    call("addChildNode", lambda: node.parentNode().addChildNode(new, node))
    call("refreshProjection", document.refreshProjection)
    call("projectionPixelData 4 MiB", lambda: bytes(new.projectionPixelData(0, 0, SIDE, 256)))
    report["calls_ms"] = calls
    return report
