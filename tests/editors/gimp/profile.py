# SPDX-License-Identifier: Apache-2.0
"""A GIMP with the plugin in it, as `pid install` puts it there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from pid_daemon.install.editors import GIMP, Profile
from pid_daemon.install.place import put
from tests.editors.host import GIMP as VERSION
from tests.editors.host import SHARE, SUITE, Host

HERE = Path(__file__).parent
SETTINGS = """(config-version "3.0.4")
(show-welcome-dialog no)
(check-updates no)
(restore-session no)
(save-session-info no)
(monitor-resolution-from-windowing-system no)
"""
KEYS = """(file-version 1)
(action "plug-in-pid-upscale" "<Primary><Alt>u")
(action "plug-in-pid-enhance" "<Primary><Alt>e")
(action "plug-in-pid-recover" "<Primary><Alt>r")
"""


class Gimp:
    """One GIMP and its profile.

    Args:
        name: of the profile.
        place: the daemon's connection file.
    """

    def __init__(self, name: str, place: Path) -> None:
        environment = {"PID_CONNECTION_FILE": str(place), "PID_HIDDEN_CHOICES": "1"}
        self.host = Host(f"gimp-{name}", environment)
        self.profile = self.host.home / ".config/GIMP" / VERSION
        self.profile.mkdir(parents=True, exist_ok=True)
        if not (self.profile / "gimprc").exists():  # a new one makes GIMP ask all plug-ins again
            (self.profile / "gimprc").write_text(SETTINGS)
        (self.profile / "shortcutsrc").write_text(KEYS)
        shutil.rmtree(self.profile / "plug-in-settings", ignore_errors=True)
        put(Profile(GIMP, self.profile / "plug-ins", "test"), place)
        self.note = self.profile / "plug-ins/pid_gimp/daemon.json"

    def batch(self, script: str, timeout_s: float = 300.0, **variables: str) -> str:
        """Run a script in GIMP without a window; returns what was printed."""
        command = [f"gimp-console-{VERSION}", "-i", "--batch-interpreter=python-fu-eval"]
        return self.host.run([*command, "-b", script, "--quit"], timeout_s, **variables)

    def cases(self, *names: str) -> dict[str, Any]:
        """Carry out cases of `inside.py` in one GIMP; returns their reports by name."""
        script = SHARE / f"inside-{SUITE}.py"
        shutil.copyfile(HERE / "inside.py", script)
        out = SHARE / f"out-{SUITE}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        said = self.batch(
            f"exec(open({str(script)!r}).read())",
            IN=str(SHARE / f"in-{SUITE}"),
            OUT=str(out),
            CASES=" ".join(names),
        )
        report = out / "report.json"
        assert report.exists(), said
        found = json.loads(report.read_text())
        found["said"] = said
        return found
