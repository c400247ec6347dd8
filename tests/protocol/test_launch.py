# SPDX-License-Identifier: Apache-2.0
"""Finding a daemon, or starting one."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pid_client import launch
from pid_protocol import discovery
from pid_protocol.errors import BadToken, DaemonNotRunning
from tests.protocol.broker import Broker

ROOT = Path(__file__).parents[2]
SERVE = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.protocol.broker import Broker
place = Path(os.environ["PID_CONNECTION_FILE"])
assert not {"PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"} & set(os.environ)
try:
    os.mkdir(place.parent / "lock")
except FileExistsError:
    sys.exit(1)
(place.parent / "started").write_text(str(os.getsid(0) == os.getpid()))
with Broker(place.parent) as broker:
    deadline_s = time.monotonic() + 20
    while not (place.parent / "end").exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
"""


def command(program: str = SERVE, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, "daemon", str(ROOT), *arguments]


def test_a_running_daemon_is_used(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        said: list[str] = []
        session = launch.connect(
            client="test", connection_file=broker.place, launch=["/nonexistent"], notify=said.append
        )
        session.close()
        assert said == []


def test_none_is_started_without_a_command(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning):
        launch.connect(client="test", connection_file=tmp_path / "c.json")


def test_two_clients_start_one_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/an/editors/own")
    place = tmp_path / "connection.json"
    pids: list[int] = []
    said: list[str] = []

    def connect() -> None:
        session = launch.connect(
            client="test", connection_file=place, launch=command(), notify=said.append
        )
        pids.append(discovery.read(place).pid)
        session.close()

    clients = [threading.Thread(target=connect) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    (tmp_path / "end").touch()
    assert len(pids) == 2 and pids[0] == pids[1] != os.getpid()
    assert said and set(said) == {"Starting the daemon"}
    assert (tmp_path / "started").read_text() == "True"  # in a session of its own


def test_a_command_that_fails_is_given_up_soon_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_OTHER_S", 0.2)
    began_s = time.monotonic()
    with pytest.raises(DaemonNotRunning) as caught:
        launch.connect(
            client="test",
            connection_file=tmp_path / "c.json",
            launch=command("raise SystemExit(1)"),
        )
    assert time.monotonic() - began_s < 8
    assert sys.executable in caught.value.hint and "SystemExit" in caught.value.hint


def test_a_command_that_does_not_exist_is_shown(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="could not be started") as caught:
        launch.connect(
            client="test", connection_file=tmp_path / "c.json", launch=["/no/where/pid", "serve"]
        )
    assert "/no/where/pid serve" in caught.value.hint


def test_a_sandbox_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAP", "/snap/krita/1")
    with pytest.raises(DaemonNotRunning, match="sandbox") as caught:
        launch.connect(client="test", connection_file=tmp_path / "c.json", launch=command())
    assert sys.executable in caught.value.hint
    assert not (tmp_path / "lock").exists()


def test_waiting_gives_its_turn_to_the_host(tmp_path: Path) -> None:
    waiting = launch.connecting(
        client="test", connection_file=tmp_path / "connection.json", launch=command()
    )
    assert next(waiting) == "Starting the daemon"
    longest_s = 0.0
    while True:
        began_s = time.perf_counter()
        try:
            assert next(waiting) == ""
        except StopIteration as end:
            end.value.close()
            break
        longest_s = max(longest_s, time.perf_counter() - began_s)
        time.sleep(0.02)
    (tmp_path / "end").touch()
    assert longest_s < 0.5


def test_a_daemon_that_is_somebody_elses_is_not_started_over(tmp_path: Path) -> None:
    with Broker(tmp_path, file={"token": "0" * 64}) as broker:
        with pytest.raises(BadToken):
            launch.connect(client="test", connection_file=broker.place, launch=command())
    assert not (tmp_path / "lock").exists()
