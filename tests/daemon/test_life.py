# SPDX-License-Identifier: Apache-2.0
"""Start, second start, stop, and what is left behind. Real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from tests.daemon.raw_client import JobFailed
from tests.daemon.real_daemon import RealDaemon

MakeDaemon = Callable[..., RealDaemon]


def start_another(daemon: RealDaemon, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pid_daemon.broker"],
        env=daemon.environment | changes,
        cwd=daemon.folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_second_daemon_says_so_and_leaves_the_first_alone(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    assert daemon.process
    before = daemon.place.read_text()
    second = start_another(daemon)
    assert second.returncode == 1
    assert f"already running (process {daemon.process.pid})" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1
    other_place = start_another(daemon, PID_CONNECTION_FILE=str(daemon.folder / "else.json"))
    assert other_place.returncode == 1, "two daemons never share a spool"
    assert daemon.place.read_text() == before
    with daemon.client() as client:
        client.result(client.submit(8, 8))


def test_stale_files_of_a_killed_daemon_are_in_nobodys_way(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    first = daemon.place.read_text()
    daemon.kill()
    assert daemon.place.read_text() == first, "nothing tidied up"
    daemon.start()
    assert daemon.place.read_text() != first, "a fresh token"
    for endpoint in (0, -1):
        with daemon.client(endpoint=endpoint) as client:
            assert client.status()["type"] == "status"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop(make_daemon: MakeDaemon, number: signal.Signals) -> None:
    daemon = make_daemon()
    assert daemon.process
    with daemon.client() as client:
        client.result(client.submit(8, 8))
        worker = daemon.worker_pid()
        blocker = client.submit(1024, 1024, kind="upscale", engine="compact")
        detached = client.submit(8, 8, detached=True)
        began_s = time.monotonic()
        daemon.process.send_signal(number)
        with pytest.raises(JobFailed) as failure:
            client.result(blocker)
        assert failure.value.code == "connection_lost"
        assert daemon.process.wait(10) == 0
        assert time.monotonic() - began_s < 5
    assert not daemon.place.exists()
    assert not psutil.pid_exists(worker)
    daemon.start()
    with daemon.client() as client:
        client.ask({"type": "fetch", "job": detached})
        client.result(detached)


def test_shutdown_asks_before_it_cancels(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    assert daemon.process
    with daemon.client() as client:
        job = client.submit(1024, 1024, kind="upscale", engine="compact")
        refused = client.ask({"type": "shutdown"})
        assert refused["code"] == "invalid_request" and "under way" in refused["message"]
        assert client.ask({"type": "shutdown", "force": True})["type"] == "ok"
        with pytest.raises(JobFailed):
            client.result(job)
    assert daemon.process.wait(10) == 0


def test_the_broker_is_ready_soon_and_small_and_without_torch(make_daemon: MakeDaemon) -> None:
    """Seconds of its own work, which a busy machine does not change; benchmarks/transport.py has
    the clock's."""
    daemon = make_daemon()
    assert daemon.process
    process = psutil.Process(daemon.process.pid)
    assert sum(process.cpu_times()[:2]) < 0.5
    assert process.memory_info().rss < 60e6
    libraries = " ".join(part.path for part in process.memory_maps())
    assert "zmq" in libraries and "torch" not in libraries and "numpy" not in libraries


def test_settings_that_make_no_sense_are_refused_in_a_sentence(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    for text, variables, word in (
        ("keep_alive = 3\n", {}, "keep_alive"),
        ("keep_alive_s = [\n", {}, "TOML"),
        ("", {"PID_KEEP_ALIVE_S": "soon"}, "soon"),
        ("", {"PID_LOG_LEVEL": "LOUD"}, "LOUD"),
        ("", {"PID_RUNTIME_FOLDER": str(daemon.folder / "config.toml")}, "cannot be used"),
        ("", {"PID_SPOOL_FOLDER": "/proc/nowhere"}, "/proc/nowhere"),
    ):
        (daemon.folder / "config.toml").write_text(text)
        answer = start_another(daemon, **variables)
        assert answer.returncode == 1
        assert word in answer.stderr and "Traceback" not in answer.stderr, answer.stderr


@pytest.mark.slow
def test_an_idle_daemon_ends_when_it_is_told_to(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(idle_exit_s=1)
    assert daemon.process
    assert daemon.process.wait(15) == 0
    assert not daemon.place.exists()


@pytest.mark.slow
def test_results_expire(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(result_expiry_s=1)
    with daemon.client() as client:
        job = client.submit(8, 8)
        client.result(job)
        deadline_s = time.monotonic() + 10
        while client.ask({"type": "fetch", "job": job})["type"] == "ok":
            assert time.monotonic() < deadline_s
            time.sleep(0.5)
        assert not (daemon.spool / job).exists()


@pytest.mark.slow
def test_two_hundred_jobs_leave_the_memory_as_it_was(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with daemon.client() as client:

        def run() -> None:
            name = client.submit(96, 64, kind="upscale", engine="compact")
            client.result(name)
            client.forget(name)

        for _ in range(10):
            run()
        worker = psutil.Process(daemon.worker_pid())
        before = daemon.rss_bytes(), worker.memory_info().rss
        for _ in range(190):
            run()
        after = daemon.rss_bytes(), worker.memory_info().rss
        growth = [(b - a) / 2**20 for a, b in zip(before, after, strict=True)]
        assert max(growth) <= 20, f"broker and worker grew by {growth} MiB"
