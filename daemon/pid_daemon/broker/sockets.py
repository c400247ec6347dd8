# SPDX-License-Identifier: Apache-2.0
"""The two sockets of the broker, ROUTER and ZAP, driven by the event loop's readiness of their
descriptors.

Sends never wait: every send says at once whether it was taken, or the peer is slow, or gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable, Sequence

import zmq

from pid_daemon.broker import zap
from pid_protocol.limits import BAND_CREDITS, MAX_BAND_BYTES

MESSAGES_PER_TURN = 32
"""Received in one turn of the event loop, so that a flood leaves room for everything else."""
SEND_QUEUE = 32
"""Messages that libzmq may hold for one peer; what does not fit stays in our outbox, where previews
are dropped."""

LOOK_S = 0.005
"""Pause between two looks where the event loop cannot watch a socket."""


class Sent(enum.Enum):
    """What became of a message that was given to libzmq."""

    TAKEN = enum.auto()
    SLOW = enum.auto()
    """The peer's queue is full: keep it and try later."""
    GONE = enum.auto()
    """There is no such peer any more."""


Received = Callable[[bytes, Sequence[zmq.Frame]], None]
"""Called with the peer's routing id and the frames of one message."""


class Sockets:
    """ROUTER for clients, and the ZAP handler that admits them."""

    def __init__(self, password: bytes, received: Received) -> None:
        """Make the sockets; nothing listens yet.

        Args:
            password: what a client has to show.
            received: called for each message, in the event loop's thread.
        """
        self._received = received
        self._password = password
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zap = self._context.socket(zmq.ROUTER)
        self._zap.bind(
            zap.ENDPOINT
        )  # before any other socket listens, or it would let everybody in
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 500)
        self._router.setsockopt(zmq.PLAIN_SERVER, 1)
        self._router.setsockopt(zmq.ZAP_DOMAIN, zap.DOMAIN)
        # Larger frames end the connection before libzmq allocates anything for them.
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_BAND_BYTES)
        self._router.setsockopt(zmq.SNDHWM, SEND_QUEUE)
        self._router.setsockopt(zmq.RCVHWM, 2 * BAND_CREDITS)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # sends say when a peer is gone
        # No heartbeats: on loopback the kernel itself tells when a peer's process ends, and a
        # client that is stopped or busy in an editor's call is not gone.
        self._draining = False
        self._loop = asyncio.get_running_loop()

    def listen(self, endpoint: str) -> str:
        """Bind one endpoint and return its final address (a port of 0 becomes a free one)."""
        self._router.bind(endpoint)
        address = self._router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(address, bytes)
        return address.rstrip(b"\0").decode()

    def unlisten(self, endpoint: str) -> None:
        """Stop accepting at an endpoint; connections stay."""
        self._router.unbind(endpoint)

    def start(self) -> None:
        """Begin to receive."""
        self._loop.call_soon(self._drain)
        try:
            self._loop.add_reader(self._zap.FD, self._admit)
            self._loop.add_reader(self._router.FD, self._drain)
        except NotImplementedError:  # Windows, whose event loop for processes watches no sockets
            self._look_often()

    def close(self) -> None:
        """Stop; what libzmq took is sent for at most the linger time."""
        for socket in (self._zap, self._router):
            with contextlib.suppress(NotImplementedError):
                self._loop.remove_reader(socket.FD)
            socket.close()
        self._context.term()

    def send(self, route: bytes, frames: Sequence[bytes | memoryview]) -> Sent:
        """Give a message to libzmq; large buffers are sent from where they are and must not
        change."""
        # Using the socket can swallow the descriptor's edge for a message that came in meanwhile.
        self._look_again()
        try:
            self._router.send_multipart([route, *frames], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return Sent.SLOW
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Sent.GONE
            raise
        return Sent.TAKEN

    def _look_often(self) -> None:
        if not self._router.closed:
            self._admit()
            self._drain()
            self._loop.call_later(LOOK_S, self._look_often)

    def _look_again(self) -> None:
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        for _ in range(MESSAGES_PER_TURN):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._received(frames[0].bytes, frames[1:])
        self._look_again()

    def _admit(self) -> None:
        while True:
            try:
                frames = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            envelope = frames.index(b"") + 1
            self._zap.send_multipart(
                [*frames[:envelope], *zap.answer(frames[envelope:], self._password)], zmq.NOBLOCK
            )
