# SPDX-License-Identifier: Apache-2.0
"""The seam between a session and the bytes: one implementation over the standard library's sockets.

A transport belongs to one thread; only `wake` may be called from others.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Protocol

from pid_protocol.errors import BadToken, ConnectionLost, DaemonNotRunning
from pid_protocol.zmtp import Bytes, Dealer, Ready, Received, Refused

_RECEIVE_BYTES = 256 << 10
_SOCKET_BUFFER_BYTES = 1 << 20
PING_S = 20.0
"""Silence after which the other side is asked for a sign of life."""
SILENCE_S = 60.0
"""How long its answer may take: a stopped process looks like one that has nothing to say."""


class Transport(Protocol):
    """Carries whole messages."""

    def send(self, frames: Sequence[Bytes]) -> None:
        """Queue one message; it leaves during `receive`."""
        ...

    @property
    def has_unsent(self) -> bool:
        """Whether queued bytes still wait to leave."""
        ...

    def receive(self, timeout_s: float | None) -> Sequence[bytes | bytearray] | None:
        """Wait for one message, sending meanwhile; None after the timeout or a `wake`.

        Raises:
            ConnectionLost: the other side is gone.
            RemoteProtocolError: the other side broke the protocol.
        """
        ...

    def wake(self) -> None:
        """Let `receive` return early. Any thread may call this."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


class SocketTransport:
    """ZMTP over a unix or TCP socket.

    Args:
        connected: a connected stream socket; it is owned from now on.
        dealer: the protocol's state.
    """

    def __init__(self, connected: socket.socket, dealer: Dealer) -> None:
        self._socket = connected
        self._dealer = dealer
        self._socket.setblocking(False)
        for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, side, _SOCKET_BUFFER_BYTES)
        self._heard_s = time.monotonic()
        self._pinged_s: float | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    @classmethod
    def connect(
        cls, endpoint: str, username: bytes, password: bytes, timeout_s: float
    ) -> SocketTransport:
        """Connect and complete the handshake.

        Raises:
            DaemonNotRunning: nobody listens there.
            BadToken: the password is refused.
            RemoteProtocolError: whoever listens does not speak the protocol.
        """
        transport = cls(_connected(endpoint, timeout_s), Dealer(username, password))
        try:
            transport._shake_hands(endpoint, timeout_s)
        except BaseException:
            transport.close()
            raise
        return transport

    def send(self, frames: Sequence[Bytes]) -> None:
        self._dealer.send(frames)

    @property
    def has_unsent(self) -> bool:
        return bool(self._dealer.outgoing)

    def receive(self, timeout_s: float | None) -> Sequence[bytes | bytearray] | None:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            event = self._dealer.next_event()
            if isinstance(event, Received):
                return event.frames
            if isinstance(event, Refused):
                raise ConnectionLost(f"The daemon closed the connection: {event.reason}.")
            left_s = PING_S if deadline_s is None else deadline_s - time.monotonic()
            was_woken = self._wait(min(max(left_s, 0.0), PING_S))
            self._look_for_life()
            if was_woken or (left_s <= 0 and not self._dealer.has_event):
                return None

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")

    def close(self) -> None:
        self._selector.close()
        for one in (self._socket, self._wake_in, self._wake_out):
            one.close()

    def _shake_hands(self, endpoint: str, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while True:
            event = self._dealer.next_event()
            if isinstance(event, Ready):
                return
            if isinstance(event, Refused):
                raise BadToken(
                    f"The daemon at {endpoint} refuses the token ({event.reason}).",
                    "It was restarted a moment ago, or the file is another one's: try again.",
                )
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise DaemonNotRunning(
                    f"Whoever listens at {endpoint} did not shake hands within {timeout_s:g} s."
                )
            self._wait(left_s)

    def _look_for_life(self) -> None:
        now_s = time.monotonic()
        if self._pinged_s is None:
            if now_s - self._heard_s > PING_S:
                self._dealer.ping()
                self._pinged_s = now_s
        elif now_s - self._pinged_s > SILENCE_S:
            raise ConnectionLost(
                f"The daemon has given no sign of life for {now_s - self._heard_s:.0f} s."
            )

    def _wait(self, timeout_s: float) -> bool:
        """Move bytes once; return whether somebody woke us."""
        self._flush()
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.has_unsent else 0)
        self._selector.modify(self._socket, interest)
        was_woken = False
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._wake_in:
                self._wake_in.recv(4096)
                was_woken = True
            else:
                if events & selectors.EVENT_READ:
                    self._read()
                if events & selectors.EVENT_WRITE:
                    self._flush()
        return was_woken

    def _read(self) -> None:
        try:
            target = self._dealer.buffer()
            if target is not None:
                size = self._socket.recv_into(target)
                if size:
                    self._note_life()
                    self._dealer.filled(size)
                    return
            else:
                data = self._socket.recv(_RECEIVE_BYTES)
                if data:
                    self._note_life()
                    self._dealer.receive_data(data)
                    return
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise _lost(error) from error
        raise ConnectionLost("The daemon closed the connection.")

    def _note_life(self) -> None:
        self._heard_s, self._pinged_s = time.monotonic(), None

    def _flush(self) -> None:
        outgoing = self._dealer.outgoing
        try:
            while outgoing:
                data = outgoing[0]
                sent = self._socket.send(data)
                if sent == len(data):
                    outgoing.popleft()
                else:
                    outgoing[0] = memoryview(data)[sent:]
        except (BlockingIOError, InterruptedError):
            return
        except (
            OSError
        ):  # what the daemon said last may still be there to be read; then comes its end
            outgoing.clear()


def _lost(error: OSError) -> ConnectionLost:
    return ConnectionLost(f"The connection to the daemon is lost: {error.strerror or error}.")


def _connected(endpoint: str, timeout_s: float) -> socket.socket:
    scheme, _, address = endpoint.partition("://")
    target: str | tuple[str, int]
    try:
        if scheme == "ipc" and hasattr(socket, "AF_UNIX"):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            target = address
        elif scheme == "tcp":
            host, _, port = address.rpartition(":")
            target = (host, int(port))
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            raise DaemonNotRunning(
                f"The endpoint {endpoint} is of no kind that works on this system."
            )
    except ValueError as error:
        raise DaemonNotRunning(f"The endpoint {endpoint} has no port.") from error
    try:
        made.settimeout(timeout_s)
        made.connect(target)
    except OSError as error:
        made.close()
        raise DaemonNotRunning(
            f"Nobody listens at {endpoint}: {error.strerror or error}.",
            "Start the daemon with `pid serve`.",
        ) from error
    return made
