# SPDX-License-Identifier: Apache-2.0
"""The `pid` command as people call it: a process of its own, with its own daemon and folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pid_daemon import files
from pid_protocol.pixels import PixelFormat

LIMIT_S = 120.0


class Command:
    """Runs `pid` with an environment in which nothing of the user's is touched."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.limit_s = LIMIT_S
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PID_")},
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_STATE_HOME": str(home / "state"),
            "PID_CONNECTION_FILE": str(home / "connection.json"),
            "PID_CONFIG_FILE": str(home / "config.toml"),
            "PID_SPOOL_FOLDER": str(home / "spool"),
            "PID_LOG_FOLDER": str(home / "log"),
            "PID_RUNTIME_FOLDER": str(home / "run"),
            "PID_DEVICE": "cpu",
            "PYTHONWARNINGS": "error",
        }

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `pid` and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "pid_daemon.cli.main", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `pid` to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=self.limit_s)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def ok(self, *arguments: str | Path) -> str:
        """Run `pid`, which has to go well; returns what it wrote to standard output."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def pid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, with a daemon that the first job starts; it is ended after the last test."""
    command = Command(tmp_path_factory.mktemp("pid"))
    yield command
    assert command("stop", "--force").returncode == 0


def picture(path: Path, side: int = 24, seed: int = 0) -> Path:
    """Write a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    files.write(path, pixels, PixelFormat(side, side))
    return path


def wait_until(is_so: object, limit_s: float = 30.0) -> None:
    """Wait for something, or fail."""
    assert callable(is_so)
    deadline_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.05)
