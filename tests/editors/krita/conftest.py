# SPDX-License-Identifier: Apache-2.0
"""Krita with the plugin in it, as `pid install` puts it there, and a test-only driver beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pid_daemon.install.editors import KRITA, Profile
from pid_daemon.install.place import put
from tests.daemon.real_daemon import RealDaemon
from tests.editors import pictures
from tests.editors.host import SHARE, SUITE, Host
from tests.editors.screen import Screen

HERE = Path(__file__).parent
SETTINGS = """[python]
enable_pid_krita=true
enable_driver=true

[advancedColorSelector]
hidePopupOnClickCheck=false
"""


class Krita:
    """One Krita and its profile.

    Args:
        name: of the profile.
        place: the daemon's connection file.
        display: the X server.
    """

    def __init__(self, name: str, place: Path, display: str) -> None:
        self.place = place
        environment = {"DISPLAY": display, "PID_CONNECTION_FILE": str(place)}
        self.host = Host(f"krita-{name}", environment)
        resources = self.host.home / ".local/share/krita"
        put(Profile(KRITA, resources, "test"), place)
        plugins = resources / "pykrita"
        shutil.copytree(HERE / "driver", plugins / "driver", dirs_exist_ok=True)
        shutil.copy(HERE / "driver.desktop", plugins)
        settings = self.host.home / ".config/kritarc"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(SETTINGS)
        self.note = plugins / "pid_krita/daemon.json"

    def drive(self, script: str, timeout_s: float = 240.0, **variables: str) -> Any:
        """Run the function `drive` of a script in this folder; returns what it returned."""
        folder = SHARE / f"krita-{SUITE}"
        folder.mkdir(parents=True, exist_ok=True)
        for file in HERE.glob("inside_*.py"):
            shutil.copy(file, folder)
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        said = self.host.run(
            ["krita", "--nosplash"],
            timeout_s,
            KRITA_DRIVE=str(folder / script),
            KRITA_REPORT=str(report),
            IN=str(SHARE / "in"),
            OUT=str(folder),
            **variables,
        )
        assert report.exists(), said[-4000:]
        found = json.loads(report.read_text())
        assert "error" not in found, found["error"] + said[-2000:]
        return found["result"]


@pytest.fixture(scope="session")
def inputs(chroot: None) -> Path:
    """The pictures."""
    folder = SHARE / "in"
    pictures.make(folder)
    return folder


@pytest.fixture(scope="session")
def krita(daemon: RealDaemon, inputs: Path, screen: Screen) -> Krita:
    """Krita with the plugin and a daemon that runs."""
    return Krita("shared", daemon.place, screen.display)
