# SPDX-License-Identifier: Apache-2.0
"""The docker under PyQt6, as Krita 6 has it. Krita is a stand-in here; the daemon is real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pid_daemon.install.editors import KRITA, Profile
from pid_daemon.install.place import put
from tests.daemon.real_daemon import RealDaemon
from tests.editors.host import SHARE, Host

HERE = Path(__file__).parent


def test_docker_runs_under_pyqt6(daemon: RealDaemon) -> None:
    host = Host("qt6", {"PID_CONNECTION_FILE": str(daemon.place), "QT_QPA_PLATFORM": "offscreen"})
    resources = host.home / "resources"
    put(Profile(KRITA, resources, "test"), daemon.place)
    out = SHARE / "qt6"
    shutil.copytree(HERE / "standin", out, dirs_exist_ok=True)
    shutil.copy(HERE / "inside_qt6.py", out)
    (out / "qt6.json").unlink(missing_ok=True)
    said = host.run(
        ["python3", out / "inside_qt6.py"],
        OUT=str(out),
        STANDIN=str(out),
        PLUGINS=str(resources / "pykrita"),
    )
    assert (out / "qt6.json").exists(), said
    assert json.loads((out / "qt6.json").read_text()) == {
        "actions": True,
        "planned": True,
        "came": True,
        "same": True,
        "name": "Background (PiD enhanced)",
        "spot": True,
        "dialog": True,
        "pyqt5": False,
    }
