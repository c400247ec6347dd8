# SPDX-License-Identifier: Apache-2.0
"""The secret of one run of the daemon, what is derived from it, and the file that tells clients."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from pid_protocol import PROGRAM_VERSION, PROTOCOL_VERSION

log = logging.getLogger(__name__)

TOKEN_BYTES = 32


def _fresh() -> str:
    return secrets.token_hex(TOKEN_BYTES)


def default_connection_file() -> Path:
    override = os.environ.get("PID_CONNECTION_FILE")
    return Path(override) if override else Path.home() / ".pid-layers" / "connection.json"


@dataclass
class Access:
    """Token, fresh at each start."""

    token: str = field(default_factory=_fresh)

    @property
    def password(self) -> bytes:
        return hmac.new(self.token.encode(), b"client", hashlib.sha256).hexdigest().encode()

    def prove(self, challenge: bytes) -> bytes:
        return hmac.new(self.token.encode(), b"daemon" + challenge, hashlib.sha256).digest()

    def publish(self, path: Path, endpoints: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps({
            "endpoints": endpoints, "token": self.token, "protocol": PROTOCOL_VERSION,
            "version": PROGRAM_VERSION, "pid": os.getpid()}))
        temporary.chmod(0o600)
        os.replace(temporary, path)

    def is_published(self, path: Path) -> bool:
        try:
            return json.loads(path.read_text())["token"] == self.token
        except (OSError, ValueError, KeyError):
            return False

    def withdraw(self, path: Path) -> None:
        if self.is_published(path):
            path.unlink(missing_ok=True)
