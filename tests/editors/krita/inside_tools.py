# SPDX-License-Identifier: Apache-2.0
"""What the scripts that run inside Krita's window share: cases, opening, closing, waiting."""

import json
import os
import time

from krita import Krita

IN, OUT = os.environ["IN"], os.environ["OUT"]
PAUSE_S, LIMIT_S = 0.02, 60.0
KRITA = Krita.instance()
CASES = {}
"""Functions of the running script by their names."""


def case(function):
    """Decorate a generator that is one case."""
    CASES[function.__name__] = function
    return function


def opened(name):
    """Generator: a picture in a view, with an active layer."""
    document = KRITA.openDocument(f"{IN}/{name}.png")
    document.setBatchmode(True)
    KRITA.activeWindow().addView(document)
    KRITA.setActiveDocument(document)
    while document.activeNode() is None:
        yield PAUSE_S
    document.waitForDone()
    return document


def closed(document):
    """Generator: closed without a question; Krita crashes when that comes right after work."""
    document.waitForDone()
    yield 0.5
    document.setModified(False)
    document.close()
    yield 0.3


def use(kind, **options):
    """The settings that the actions without a dialog take."""
    KRITA.writeSetting("pid_krita", kind, json.dumps({"engine": "identity", **options}))


def until(look, limit_s=LIMIT_S):
    """Generator: waits until `look()` is true; returns whether it became so."""
    end = time.monotonic() + limit_s
    while not look():
        if time.monotonic() > end:
            return False
        yield PAUSE_S
    return True
