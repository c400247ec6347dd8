# SPDX-License-Identifier: Apache-2.0
"""Places that only one daemon may hold: the lock, the runtime folder with the unix socket, the
connection file."""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

import platformdirs

from pid_daemon.config import APP
from pid_protocol.errors import InvalidRequest

log = logging.getLogger(__name__)

SOCKET_NAME = "broker.sock"
MAX_SOCKET_PATH_BYTES = 103
"""sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included."""


class AlreadyRunning(Exception):
    """Another daemon holds the place.

    Args:
        pid: its process; 0 = not known.
    """

    def __init__(self, pid: int) -> None:
        who = f" (process {pid})" if pid else ""
        super().__init__(f"A daemon is already running{who}; this one leaves it alone and ends.")
        self.pid = pid


class Lock:
    """An advisory lock on a file; the system releases it with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: another process has it.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600
        )
        try:
            _lock(self._descriptor)
        except OSError:
            text = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(int(text) if text.isdigit() else 0) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back; the file stays, or two processes could lock two files."""
        os.close(self._descriptor)


def private_runtime_folder(setting: Path | None) -> Path:
    """Make the folder of the unix socket, for this user's eyes alone.

    Raises:
        InvalidRequest: somebody else owns it, or it cannot be made.
    """
    folder = setting or _usual_runtime_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise InvalidRequest(f"{folder} is not a folder.", "Remove it, or set runtime_folder.")
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise InvalidRequest(f"{folder} belongs to another user.", "Set runtime_folder.")
        folder.chmod(0o700)
    except OSError as error:
        raise InvalidRequest(
            f"{folder} cannot be used: {error.strerror}.", "Set runtime_folder."
        ) from error
    return folder


def unix_endpoint(folder: Path) -> str | None:
    """The endpoint of the unix socket; None where the system has none or its path would be too
    long."""
    path = folder / SOCKET_NAME
    if sys.platform == "win32":
        return None
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        log.warning("%s is too long for a unix socket; clients use TCP", path)
        return None
    return f"ipc://{path}"


def _usual_runtime_folder() -> Path:
    if sys.platform == "linux" and not os.environ.get("XDG_RUNTIME_DIR"):
        return Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}"
    return platformdirs.user_runtime_path(APP, appauthor=False)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Byte 1024 and not 0: Windows refuses others to read what is locked, and they read the
        # process id.
        os.lseek(descriptor, 1024, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
