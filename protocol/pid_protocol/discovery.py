# SPDX-License-Identifier: Apache-2.0
"""The connection file: where the running daemon listens and the token that both sides know.

Its default place hangs on the home folder alone, because sandboxes remap the XDG folders. Only its
owner may read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import ConnectError, DaemonNotRunning

OVERRIDE = "PID_CONNECTION_FILE"
"""Environment variable that names another place."""
START_HINT = "Start it with `pid serve`."
"""What a person can do when no daemon runs."""
_MAX_BYTES = 64 << 10


@dataclass(frozen=True)
class ConnectionInfo:
    """What a running daemon tells its clients."""

    endpoints: tuple[str, ...]
    """`ipc://PATH` and `tcp://127.0.0.1:PORT`, in the order to try."""
    token: str
    """64 hexadecimal digits, fresh at each start."""
    protocol: int
    """PROTOCOL_VERSION of the daemon."""
    version: str
    """PROGRAM_VERSION of the daemon."""
    pid: int
    """Process id of the broker."""
    boot: str = ""
    """Identifies this boot of this machine; empty where the system does not tell."""


def default_path() -> Path:
    """The connection file's place: the override, or a fixed one below the home folder."""
    override = os.environ.get(OVERRIDE)
    return Path(override) if override else Path.home() / ".pid-layers" / "connection.json"


def boot_id() -> str:
    """Identify this boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def write(path: Path, info: ConnectionInfo) -> None:
    """Publish a daemon, atomically, readable by the owner alone.

    Raises:
        OSError: the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(info), file)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> ConnectionInfo:
    """Read what a daemon published.

    Raises:
        DaemonNotRunning: there is no file, or it is of an earlier boot.
        ConnectError: the file is not one of ours, or others may write it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MAX_BYTES)
    except FileNotFoundError:
        raise DaemonNotRunning(f"No daemon is running: there is no {path}.", START_HINT) from None
    except OSError as error:
        raise ConnectError(f"{path} cannot be read: {error.strerror}.") from error
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        raise ConnectError(
            f"{path} is open to others (owner {status.st_uid}, mode {status.st_mode & 0o777:o}).",
            "Remove it and start the daemon again.",
        )
    info = _parse(path, text)
    if info.boot and boot_id() and info.boot != boot_id():
        raise DaemonNotRunning(f"{path} is from before the last start of this machine.", START_HINT)
    return info


def remove(path: Path, token: str) -> None:
    """Take back what was published, unless somebody else has published since."""
    with contextlib.suppress(OSError, ConnectError):
        if read(path).token == token:
            path.unlink()


def _parse(path: Path, text: bytes) -> ConnectionInfo:
    try:
        values = json.loads(text)
        endpoints = tuple(str(endpoint) for endpoint in values["endpoints"])
        return ConnectionInfo(
            endpoints,
            str(values["token"]),
            int(values["protocol"]),
            str(values["version"]),
            int(values["pid"]),
            str(values.get("boot", "")),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConnectError(
            f"{path} is not a connection file ({error!r}).", "Remove it and start the daemon again."
        ) from error
