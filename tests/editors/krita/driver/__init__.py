# SPDX-License-Identifier: Apache-2.0
"""Test-only plug-in of Krita: runs the generator `drive(krita)` of a script in the window's thread.

With KRITA_DRIVE=script and KRITA_REPORT=report.json it begins once the main window stands; every
`yield SECONDS` goes back to Krita's own event loop. What `drive` returns, or the traceback, lands
in the report; then Krita quits.
"""

import faulthandler
import json
import os
import sys
import traceback

from krita import Extension, Krita

if "PyQt6.QtCore" in sys.modules:
    from PyQt6 import QtCore
else:
    from PyQt5 import QtCore


class Driver(Extension):
    def setup(self):
        if os.environ.get("KRITA_DRIVE"):
            self.crash = open(os.environ["KRITA_REPORT"] + ".crash", "w")
            faulthandler.enable(self.crash)
            notifier = Krita.instance().notifier()
            notifier.setActive(True)
            notifier.windowCreated.connect(lambda: QtCore.QTimer.singleShot(1000, self.begin))

    def createActions(self, window):
        pass

    def begin(self):
        space = {"__name__": "drive"}
        sys.path.insert(0, os.path.dirname(os.environ["KRITA_DRIVE"]))  # scripts share their tools
        try:
            Krita.instance().setBatchmode(True)
            with open(os.environ["KRITA_DRIVE"]) as script:
                exec(compile(script.read(), os.environ["KRITA_DRIVE"], "exec"), space)
            self.steps = space["drive"](Krita.instance())
        except Exception:
            self.end({"error": traceback.format_exc()})
        else:
            self.step()

    def step(self):
        try:
            wait_s = next(self.steps)
        except StopIteration as end:
            self.end({"result": end.value})
        except Exception:
            self.end({"error": traceback.format_exc()})
        else:
            QtCore.QTimer.singleShot(int(wait_s * 1000), self.step)

    def end(self, report):
        path = os.environ["KRITA_REPORT"]
        with open(path + ".new", "w") as file:
            json.dump(report, file, default=str)
        os.replace(path + ".new", path)
        QtCore.QTimer.singleShot(500, self.leave)

    def leave(self):
        for document in Krita.instance().documents():
            document.setModified(False)  # or Krita asks whether to save, and waits for ever
        Krita.instance().action("file_quit").trigger()


Krita.instance().addExtension(Driver(Krita.instance()))
