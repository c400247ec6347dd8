# SPDX-License-Identifier: Apache-2.0
"""A screen nobody sees: Xvfb and openbox in the chroot, keys and clicks by xdotool."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.editors.host import CHROOT, SHARE, Host

_WITH_MOUNTS = Path(__file__).parent / "chroot" / "with-mounts.sh"
GEOMETRY = "1600x1000x24"


class Screen:
    """An X server; `with` starts and ends it."""

    def __init__(self) -> None:
        self.display = ""
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Screen:
        with tempfile.TemporaryFile("w+") as number:
            # Xvfb picks a free display itself: the chroot shares abstract sockets with the host
            os.set_inheritable(number.fileno(), True)
            server = subprocess.Popen(
                [_WITH_MOUNTS, CHROOT, "chroot", CHROOT, "Xvfb", "-displayfd",
                 str(number.fileno()), "-screen", "0", GEOMETRY, "-nolisten", "tcp", "-noreset"],
                env={**os.environ, "SHARE": str(SHARE)},
                pass_fds=(number.fileno(),),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )  # fmt: skip
            self._processes.append(server)
            until(lambda: bool(_written(number.fileno())), 20, "Xvfb did not start")
            self.display = f":{_written(number.fileno())}"
        self.host = Host("screen", {"DISPLAY": self.display})
        self._processes.append(self.host.start(["openbox"]))
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(10)
            if process.stdout:
                process.stdout.close()

    def do(self, *words: str | int) -> str:
        """Run xdotool; returns what it prints."""
        return self.host.run(["xdotool", *map(str, words)], 30).strip()

    def windows(self) -> dict[str, str]:
        """Identifiers of the visible windows by title."""
        found: dict[str, str] = {}
        for window in self.do("search", "--onlyvisible", "--name", ".").splitlines():
            if window.isdigit():
                found[self.do("getwindowname", window)] = window
        return found

    def window(self, part: str, timeout_s: float = 60.0) -> str:
        """Wait for a window whose title contains this text; returns its identifier."""

        def find() -> str:
            named = (window for title, window in self.windows().items() if part in title)
            return next(named, "")

        return until(find, timeout_s, f"no window is called {part!r}: {self.windows}")

    def title(self, window: str) -> str:
        """A window's title."""
        return self.do("getwindowname", window)

    def key(self, window: str, *keys: str) -> None:
        """Press keys in a window."""
        self.do("windowactivate", "--sync", window)
        self.do("key", "--clearmodifiers", *keys)

    def click(self, x: int, y: int) -> None:
        """Click at a point of the screen."""
        self.do("mousemove", x, y, "click", 1)

    def geometry(self, window: str) -> dict[str, int]:
        """X, Y, WIDTH and HEIGHT of a window."""
        lines = self.do("getwindowgeometry", "--shell", window).splitlines()
        pairs = (line.split("=", 1) for line in lines if "=" in line)
        return {name: int(value) for name, value in pairs}

    def shoot(self, path: Path, window: str = "root") -> Path:
        """Take a picture of the screen or of a window."""
        inside = SHARE / f"shot{self.display}.png"
        self.host.run(["import", "-window", window, inside], 30)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(inside.read_bytes())
        return path


def until(look, timeout_s: float, what: object):  # noqa: ANN001, ANN201
    """Wait until a function returns something true, and return that.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what() if callable(what) else what} after {timeout_s:g} s")
        time.sleep(0.1)
    return found


def _written(descriptor: int) -> str:
    return os.pread(descriptor, 16, 0).decode().strip()
