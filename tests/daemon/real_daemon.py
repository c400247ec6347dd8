# SPDX-License-Identifier: Apache-2.0
"""A real daemon in folders of its own, started, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.daemon.raw_client import RawClient


class RealDaemon:
    """One `python -m pid_daemon.broker` and its folders."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.place = folder / "connection.json"
        self.spool = folder / "spool"
        self.log = folder / "log" / "daemon.log"
        self.environment = {
            **os.environ,
            "PID_CONNECTION_FILE": str(self.place),
            "PID_CONFIG_FILE": str(folder / "config.toml"),
            "PID_SPOOL_FOLDER": str(self.spool),
            "PID_LOG_FOLDER": str(folder / "log"),
            "PID_RUNTIME_FOLDER": str(folder / "run"),
            "PID_DEVICE": "cpu",
            **{f"PID_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; returns the seconds until a client can connect."""
        began_s = time.perf_counter()
        before = self.place.stat().st_mtime_ns if self.place.exists() else 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pid_daemon.broker"],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (self.place.exists() and self.place.stat().st_mtime_ns != before):
            if self.process.poll() is not None or time.perf_counter() - began_s > 20:
                raise RuntimeError(f"the daemon did not start:\n{self.log_text()}")
            time.sleep(0.005)
        return time.perf_counter() - began_s

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, as the system does; returns its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode

    def client(self, **arguments: object) -> RawClient:
        """A new connection."""
        return RawClient(self.place, **arguments)  # type: ignore[arg-type]

    def worker_pid(self, timeout_s: float = 20.0) -> int:
        """The first worker's process, waited for."""
        deadline_s = time.monotonic() + timeout_s
        with self.client() as client:
            while time.monotonic() < deadline_s:
                pid = client.status()["workers"][0]["pid"]
                if pid:
                    return pid
                time.sleep(0.05)
        raise TimeoutError("there is no worker")

    def warm_up(self) -> None:
        """Run one small job, so that the worker has imported everything."""
        with self.client() as client:
            job = client.submit(32, 32, kind="upscale", engine="compact")
            client.result(job)
            client.forget(job)

    def rss_bytes(self) -> int:
        """Resident memory of the broker."""
        assert self.process
        return psutil.Process(self.process.pid).memory_info().rss

    def log_text(self) -> str:
        """The log so far."""
        return self.log.read_text() if self.log.exists() else ""
