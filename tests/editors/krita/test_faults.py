# SPDX-License-Identifier: Apache-2.0
"""Cancel, and a daemon that dies or is not there: the document stays, and words say why."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.real_daemon import RealDaemon
from tests.editors.krita.conftest import Krita
from tests.editors.screen import Screen


@pytest.fixture(scope="module")
def own_daemon(daemon_folder: Path) -> Iterator[RealDaemon]:
    """A daemon that may die."""
    folder = daemon_folder / "krita-faults"
    folder.mkdir()
    running = RealDaemon(folder)
    running.start()
    running.warm_up()
    yield running
    running.kill()
    if running.place.exists():  # one that Krita has started since
        os.kill(json.loads(running.place.read_text())["pid"], signal.SIGTERM)


@pytest.fixture(scope="module")
def report(own_daemon: RealDaemon, inputs: Path, screen: Screen) -> dict[str, Any]:
    """All cases, in one Krita; a daemon that it starts itself runs on the host."""
    krita = Krita("faults", own_daemon.place, screen.display)
    note = json.loads(krita.note.read_text())
    settings = [f"{k}={v}" for k, v in own_daemon.environment.items() if k.startswith("PID_")]
    note["launch"] = ["chroot", "/mnt/host", "env", *settings, *note["launch"]]
    krita.note.write_text(json.dumps(note))
    return krita.drive("inside_faults.py", 400, CASES="missing_weights licence cancel killed")


def test_cancel_leaves_the_document_and_frees_the_daemon(report: dict[str, Any]) -> None:
    found = report["cancel"]
    assert "failed" not in found, found["failed"]
    assert found["same"]
    assert found["idle"] and found["idle_s"] <= 2.0
    assert found["text"] == "Cancelled."
    assert found["boxes"] == 0


def test_death_of_the_daemon_is_told_and_the_next_run_starts_one(report: dict[str, Any]) -> None:
    found = report["killed"]
    assert "failed" not in found, found["failed"]
    assert found["told"] and found["told_s"] <= 2.0
    assert "connection" in found["said"][0]
    assert found["same"]
    assert found["again"] == [True, []]


def test_missing_weights_are_said_with_the_remedy(report: dict[str, Any]) -> None:
    found = report["missing_weights"]
    assert "failed" not in found, found["failed"]
    assert "weights" in found["said"][0]
    assert found["same"]


def test_licence_is_asked_for_once_and_the_run_goes_on(report: dict[str, Any]) -> None:
    found = report["licence"]
    assert "failed" not in found, found["failed"]
    assert "research and evaluation only" in found["asked"]
    assert "no" in found["default"].casefold()
    assert found["again"]
    assert found["error"] == "None"
