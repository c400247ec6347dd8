# SPDX-License-Identifier: Apache-2.0
"""A daemon that is not there: started where it can be; elsewhere the command is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.real_daemon import RealDaemon
from tests.editors.gimp.profile import Gimp
from tests.editors.screen import until

COMMAND = ["pid-of-this-test", "serve", "--in a folder"]


@pytest.fixture
def absent(daemon_folder: Path, request: pytest.FixtureRequest) -> Iterator[RealDaemon]:
    """A daemon that has not been started."""
    folder = daemon_folder / request.node.name
    folder.mkdir()
    made = RealDaemon(folder)
    yield made
    made.stop()


def note(gimp: Gimp, launch: list[str]) -> None:
    """Change the command that the installer has left."""
    values = json.loads(gimp.note.read_text())
    gimp.note.write_text(json.dumps({**values, "launch": launch}))


def test_a_missing_daemon_is_started(absent: RealDaemon, inputs: Path) -> None:
    """The chroot cannot run the host's Python, so the command asks for it with a file."""
    gimp = Gimp("alone", absent.place)
    wish = absent.folder / "wish"
    note(gimp, ["/bin/sh", "-c", f"touch {wish}; sleep 30"])

    def start() -> None:
        until(wish.exists, 120, "nobody wished for a daemon")
        absent.start()

    helper = threading.Thread(target=start)
    helper.start()
    report = gimp.cases("odd")["odd"]
    helper.join()
    assert report["status"] == "success", report["message"]


def test_where_it_cannot_be_started_the_command_is_said(absent: RealDaemon, inputs: Path) -> None:
    gimp = Gimp("alone", absent.place)
    note(gimp, COMMAND)
    report = gimp.cases("odd")["odd"]
    assert report["status"] == "execution-error"
    assert "pid-of-this-test serve '--in a folder'" in report["message"]
    assert report["after"] == report["before"]


def test_in_a_sandbox_the_command_is_said_at_once(absent: RealDaemon, inputs: Path) -> None:
    gimp = Gimp("alone", absent.place)
    note(gimp, COMMAND)
    gimp.host.environment["SNAP"] = "/snap/gimp"
    report = gimp.cases("odd")["odd"]
    assert "pid-of-this-test serve '--in a folder'" in report["message"]
    assert report["seconds"] < 10
