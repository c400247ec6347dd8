# SPDX-License-Identifier: Apache-2.0
"""The secret of one run of the daemon, and the connection file that hands it to this user's
clients."""

from __future__ import annotations

import os
from pathlib import Path

from pid_protocol import PROGRAM_VERSION, PROTOCOL_VERSION, auth, discovery
from pid_protocol.errors import ConnectError


class Access:
    """A fresh token, and where it is published."""

    def __init__(self, place: Path | None) -> None:
        """Make the token; nothing is published yet.

        Args:
            place: the connection file; None = the usual place.
        """
        self._token = auth.new_token()
        self.place = place or discovery.default_path()

    @property
    def password(self) -> bytes:
        """What a client has to show."""
        return auth.client_password(self._token)

    def prove(self, challenge: bytes) -> bytes:
        """Answer a client's challenge."""
        return auth.daemon_proof(self._token, challenge)

    def publish(self, endpoints: list[str]) -> None:
        """Tell clients where we are.

        Raises:
            OSError: the file cannot be written.
        """
        info = discovery.ConnectionInfo(
            endpoints=tuple(endpoints),
            token=self._token,
            protocol=PROTOCOL_VERSION,
            version=PROGRAM_VERSION,
            pid=os.getpid(),
            boot=discovery.boot_id(),
        )
        discovery.write(self.place, info)

    def is_published(self) -> bool:
        """Whether the connection file is there and ours."""
        try:
            return discovery.read(self.place).token == self._token
        except ConnectError:
            return False

    def withdraw(self) -> None:
        """Remove the connection file, unless another daemon has written it since."""
        discovery.remove(self.place, self._token)
