# SPDX-License-Identifier: Apache-2.0
"""Whatever dies, every accepted job ends delivered or reported, and nobody else is disturbed. Real
processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from pid_protocol.limits import BAND_CREDITS
from tests.daemon.raw_client import JobFailed, RawClient, new_job
from tests.daemon.real_daemon import RealDaemon

MakeDaemon = Callable[..., RealDaemon]

LONG = {"kind": "upscale", "engine": "compact", "options": {"scale": 4.0}}
"""A job that takes many seconds on any CPU, when it is LONG_PX large."""
LONG_PX = 1024


def submit_long(client: RawClient, **fields: object) -> str:
    return client.submit(LONG_PX, LONG_PX, pixels=bytes(LONG_PX * LONG_PX * 3), **LONG, **fields)  # type: ignore[arg-type]


def wait_until_at_work(client: RawClient, job: str) -> None:
    """Wait until the engine is in the middle of it."""
    while True:
        header, _ = client.wait(job, "progress", timeout_s=60)
        if header["stage"] not in ("loading", "convert"):
            return


def wait_for(true: Callable[[], bool], timeout_s: float) -> float:
    """Seconds until something is true."""
    began_s = time.monotonic()
    while not true():
        if time.monotonic() - began_s > timeout_s:
            raise TimeoutError(f"not within {timeout_s} s")
        time.sleep(0.02)
    return time.monotonic() - began_s


def test_a_killed_worker_ends_its_job_with_the_cause_and_the_queue_goes_on(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon()
    with daemon.client() as client, daemon.client() as other:
        job = submit_long(client)
        wait_until_at_work(client, job)
        queued = [other.submit(16, 16) for _ in range(3)]
        os.kill(daemon.worker_pid(), signal.SIGKILL)
        began_s = time.monotonic()
        with pytest.raises(JobFailed, match="SIGKILL") as failure:
            client.result(job)
        assert time.monotonic() - began_s < 2
        assert failure.value.code == "worker_died"
        for name in queued:
            other.result(name)
            other.forget(name)
        took_s = time.monotonic() - began_s
        assert took_s < 15, "the worker is back within 5 s; the rest is importing torch"
        books = client.status()["jobs"]
        assert books["accepted"] == books["delivered"] + books["reported"] == 4


@pytest.mark.slow
def test_a_hung_worker_is_ended_and_the_job_says_so(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(stage_limit_s=6, start_limit_s=30, load_limit_s=30)
    with daemon.client() as client:
        small = client.submit(64, 64, kind="upscale", engine="compact")
        client.result(small)
        pid = daemon.worker_pid()
        job = client.submit(256, 256, kind="upscale", engine="compact")
        wait_until_at_work(client, job)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(JobFailed) as failure:
            client.result(job, timeout_s=60)
        assert failure.value.code == "timed_out"
        assert not psutil.pid_exists(pid)
        client.result(client.submit(16, 16))


def test_a_killed_broker_leaves_no_orphan_and_nothing_is_lost(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with daemon.client() as client:
        pixels = os.urandom(40 * 30 * 3)
        done = client.submit(40, 30, pixels=pixels)
        client.wait(done, "result")
        running = submit_long(client)
        wait_until_at_work(client, running)
        detached = client.submit(20, 20, detached=True)
        waiting = client.submit(20, 20)
        half = new_job()
        client.ask(
            {"type": "submit", "job": half, "kind": "enhance", "image": {"width": 9, "height": 9}}
        )
        worker = daemon.worker_pid()
        daemon.kill()
    wait_for(lambda: not psutil.pid_exists(worker), 2)
    daemon.start()
    with daemon.client() as client:
        assert client.ask({"type": "fetch", "job": done})["type"] == "ok"
        assert client.result(done)[1] == pixels
        assert client.ask({"type": "fetch", "job": detached})["type"] == "ok"
        client.result(detached)
        for lost in (running, waiting):
            client.ask({"type": "fetch", "job": lost})
            with pytest.raises(JobFailed) as failure:
                client.result(lost)
            assert failure.value.code == "connection_lost"
        assert client.ask({"type": "fetch", "job": half})["code"] == "unknown_job"
        assert not (daemon.spool / half).exists()


def test_a_stopped_worker_does_not_outlive_a_killed_broker(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with daemon.client() as client:
        client.result(client.submit(8, 8))
    worker = daemon.worker_pid()
    os.kill(worker, signal.SIGSTOP)
    daemon.kill()
    wait_for(lambda: not psutil.pid_exists(worker), 3)


def test_the_job_of_a_closed_client_stops_within_two_seconds(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    client = daemon.client()
    running = submit_long(client)
    wait_until_at_work(client, running)
    waiting = client.submit(16, 16)
    detached = client.submit(16, 16, detached=True)
    client.close()
    with daemon.client() as other:

        def states() -> dict[str, str]:
            return {row["job"]: row["state"] for row in other.ask({"type": "get-jobs"})["jobs"]}

        took_s = wait_for(lambda: states()[running] == "failed", 5)
        assert took_s < 2
        assert states()[waiting] == "failed"
        wait_for(lambda: states()[detached] == "done", 30)
        other.ask({"type": "fetch", "job": running})
        with pytest.raises(JobFailed) as failure:
            other.result(running)
        assert failure.value.code == "cancelled"


def test_a_cancel_is_seen_within_one_step(shared_daemon: RealDaemon) -> None:
    with shared_daemon.client() as client:
        pid = shared_daemon.worker_pid()
        job = submit_long(client)
        wait_until_at_work(client, job)
        began_s = time.monotonic()
        assert client.ask({"type": "cancel", "job": job})["type"] == "ok"
        with pytest.raises(JobFailed) as failure:
            client.result(job)
        assert failure.value.code == "cancelled"
        assert time.monotonic() - began_s < 2
        assert shared_daemon.worker_pid() == pid, "it stopped by itself, and keeps its models"


def test_cancel_of_a_waiting_and_of_an_arriving_job(shared_daemon: RealDaemon) -> None:
    with shared_daemon.client() as client:
        blocker = submit_long(client)
        waiting = client.submit(16, 16)
        arriving = new_job()
        client.ask(
            {
                "type": "submit",
                "job": arriving,
                "kind": "enhance",
                "image": {"width": 9, "height": 9},
            }
        )
        for job in (waiting, arriving, blocker):
            client.ask({"type": "cancel", "job": job})
            with pytest.raises(JobFailed) as failure:
                client.result(job)
            assert failure.value.code == "cancelled"


STANDING_CLIENT = """
import os, sys, time
from pathlib import Path
from tests.daemon.raw_client import RawClient

with RawClient(Path(sys.argv[1]), receive_queue=1) as client:
    pixels = os.urandom(4096 * 2048 * 3)
    job = client.submit(4096, 2048, pixels=pixels)
    client.wait(job, "result", timeout_s=120)
    client.send({"type": "credit", "job": job, "bands": 1_000})
    print(job, flush=True)
    time.sleep(1)
    data = bytearray()
    while len(data) < len(pixels):
        data += client.wait(job, "band", timeout_s=600)[1][0]
    print("same" if data == pixels else "other", flush=True)
"""


def test_a_stopped_client_delays_nobody_and_is_not_gone(shared_daemon: RealDaemon) -> None:
    """Under SIGSTOP, as in a debugger: 24 MiB wait for it, and are there when it goes on."""
    stopped = subprocess.Popen(
        [sys.executable, "-c", STANDING_CLIENT, str(shared_daemon.place)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stopped.stdout
    job = stopped.stdout.readline().strip()
    os.kill(stopped.pid, signal.SIGSTOP)
    with shared_daemon.client() as other:
        times_s: list[float] = []
        for _ in range(10):
            began_s = time.monotonic()
            name = other.submit(64, 64)
            other.result(name)
            other.forget(name)
            times_s.append(time.monotonic() - began_s)
        assert sorted(times_s)[5] < 1
        rows = {row["job"]: row["state"] for row in other.ask({"type": "get-jobs"})["jobs"]}
        assert rows[job] == "done"
        before = shared_daemon.rss_bytes()
        time.sleep(1)
        assert shared_daemon.rss_bytes() - before < 10 << 20
        os.kill(stopped.pid, signal.SIGCONT)
        assert stopped.stdout.readline().strip() == "same"
        assert stopped.wait(10) == 0
        stopped.stdout.close()
        other.forget(job)


@pytest.mark.slow
def test_a_client_that_asks_and_never_reads_is_let_go(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with daemon.client() as other, daemon.client(receive_queue=1) as flood:
        other.result(other.submit(8, 8))
        before = daemon.rss_bytes()
        for number in range(40_000):
            flood.send({"type": "get-status", "id": number})
            if number % 4_000 == 0:
                began_s = time.monotonic()
                other.result(other.submit(8, 8))
                assert time.monotonic() - began_s < 5
        wait_for(lambda: "asks and does not read" in daemon.log_text(), 60)
        assert daemon.rss_bytes() - before < 60 << 20
        other.result(other.submit(8, 8))


def test_keep_alive_of_zero_ends_the_worker_with_the_job(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(keep_alive_s=0)
    with daemon.client() as client:
        client.result(client.submit(32, 32, kind="upscale", engine="compact"))
        wait_for(lambda: client.status()["workers"][0]["state"] == "off", 5)
        stays = client.submit(32, 32, kind="upscale", engine="compact", keep_alive_s=-1)
        client.result(stays)
        time.sleep(0.5)
        row = client.status()["workers"][0]
        assert (row["state"], row["engine"]) == ("idle", "compact")
        assert row["resident_bytes"] > 0 and row["expires_s"] == -1
        assert client.ask({"type": "unload"})["type"] == "ok"
        wait_for(lambda: client.status()["workers"][0]["pid"] == 0, 5)


def test_the_unix_socket_and_the_connection_file_come_back(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    before = daemon.place.read_text()
    daemon.place.unlink()
    (daemon.folder / "run" / "broker.sock").unlink()
    (daemon.folder / "run").rmdir()
    wait_for(lambda: daemon.place.exists() and (daemon.folder / "run/broker.sock").exists(), 8)
    assert daemon.place.read_text() == before
    with daemon.client(endpoint=0) as client:
        assert client.status()["pid"] == daemon.process.pid  # type: ignore[union-attr]


def test_a_lost_spool_folder_costs_only_what_was_in_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with daemon.client() as client:
        job = client.submit(32, 32)
        client.wait(job, "result")
        shutil.rmtree(daemon.spool)
        client.send({"type": "credit", "job": job, "bands": BAND_CREDITS})
        with pytest.raises(JobFailed, match="no longer on disk"):
            client.wait(job, "band")
        client.result(client.submit(32, 32))


def test_a_folder_that_vanishes_under_an_upload_costs_that_job_alone(
    shared_daemon: RealDaemon,
) -> None:
    with shared_daemon.client() as client:
        job = new_job()
        image = {"width": 64, "height": 64, "channels": "gray"}
        client.ask({"type": "submit", "job": job, "kind": "enhance", "image": image})
        shutil.rmtree(shared_daemon.spool / job)
        client.send_pixels(job, bytes(64 * 64))
        with pytest.raises(JobFailed) as failure:
            client.wait(job, "queued")
        assert failure.value.code == "spool_full"
        client.result(client.submit(8, 8))


@pytest.mark.skipif(sys.platform != "linux", reason="limits a running process's memory")
def test_a_worker_without_memory_says_so_and_goes_on(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.warm_up()
    worker = psutil.Process(daemon.worker_pid())
    little = worker.memory_info().vms + (20 << 20)
    unlimited = (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)
    with daemon.client() as client:
        worker.rlimit(psutil.RLIMIT_AS, (little, psutil.RLIM_INFINITY))
        job = client.submit(400, 400, kind="upscale", engine="compact")
        with pytest.raises(JobFailed) as failure:
            client.result(job)
        assert failure.value.code == "out_of_memory"
        worker.rlimit(psutil.RLIMIT_AS, unlimited)
        client.result(client.submit(64, 64, kind="upscale", engine="compact"))
        assert daemon.worker_pid() == worker.pid


def test_a_worker_that_cannot_start_is_reported(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    broken = daemon.folder / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('no such library')\n")
    daemon.environment["PYTHONPATH"] = str(broken)
    daemon.start()
    with daemon.client() as client:
        job = client.submit(16, 16)
        with pytest.raises(JobFailed) as failure:
            client.result(job, timeout_s=30)
        assert failure.value.code == "worker_died"
        assert "no such library" in failure.value.message
