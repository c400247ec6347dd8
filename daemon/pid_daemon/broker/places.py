# SPDX-License-Identifier: Apache-2.0
"""Where clients find the daemon: the unix socket, the TCP port, and the connection file that names
both. Made at the start, made again when somebody's clean-up takes them away, removed at the end."""

from __future__ import annotations

import contextlib
import logging
import os

import zmq

from pid_daemon.broker.access import Access
from pid_daemon.broker.runtime import private_runtime_folder, unix_endpoint
from pid_daemon.broker.sockets import Sockets
from pid_daemon.config import Config
from pid_protocol.errors import PidError

log = logging.getLogger(__name__)

TCP_ENDPOINT = "tcp://127.0.0.1:0"
"""Loopback and a free port; nothing ever listens beyond."""


class Places:
    """Endpoints and the connection file."""

    def __init__(self, config: Config, access: Access, sockets: Sockets) -> None:
        """Make the runtime folder; nothing listens yet.

        Raises:
            InvalidRequest: the folder is another user's, or cannot be made.
        """
        self._setting = config.runtime_folder
        self._unix = unix_endpoint(private_runtime_folder(self._setting))
        self._access = access
        self._sockets = sockets
        self.endpoints: list[str] = []
        """In the order in which clients try them."""

    def open(self) -> None:
        """Listen, and tell where."""
        if self._unix:
            self.endpoints.append(self._sockets.listen(self._unix))
        self.endpoints.append(self._sockets.listen(TCP_ENDPOINT))
        self._access.publish(self.endpoints)

    def restore(self) -> None:
        """Make again what is gone: running clients notice nothing, new ones find us."""
        if self._unix and not os.path.exists(self._unix.removeprefix("ipc://")):
            log.warning("the unix socket is gone; listening again")
            try:
                private_runtime_folder(self._setting)
                self._sockets.unlisten(self._unix)
                self._sockets.listen(self._unix)
            except (PidError, OSError, zmq.ZMQError) as error:
                log.error("the unix socket cannot be made again: %s", error)
        if not self._access.is_published():
            log.warning("the connection file is gone or another's; writing it again")
            with contextlib.suppress(OSError):
                self._access.publish(self.endpoints)

    def close(self) -> None:
        """No new client shall come."""
        self._access.withdraw()
