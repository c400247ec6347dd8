# SPDX-License-Identifier: Apache-2.0
"""Our ZMTP against libzmq: all sizes, single bytes, heartbeats, wrong peers, cut connections."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from pid_client.transport import SocketTransport
from pid_protocol.errors import (
    BadToken,
    ConnectionLost,
    DaemonNotRunning,
    LocalProtocolError,
    PidError,
    RemoteProtocolError,
)
from pid_protocol.limits import MAX_BAND_BYTES, MAX_FRAMES
from pid_protocol.zmtp import Dealer, Ready, Received, Refused

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"PLAIN".ljust(20, b"\0") + b"\x01" + bytes(31)
READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00"
SIZES = [0, 1, 254, 255, 256, 257, 8_191, 8_192, 65_535, 65_536, 65_537, 300_000]


class Router:
    """A ROUTER with PLAIN whose only password is `right`."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*", **options: int) -> None:
        self._context = zmq.Context()
        zap = self._context.socket(zmq.REP)
        zap.bind("inproc://zeromq.zap.01")
        self._porter = threading.Thread(target=self._let_in, args=(zap,))
        self._porter.start()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.plain_server = True
        self.socket.linger = 0
        self.socket.rcvtimeo = 5_000
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.socket.bind(endpoint)
        self.endpoint: str = self.socket.last_endpoint.decode().rstrip("\0")

    def _let_in(self, zap: Any) -> None:
        with contextlib.suppress(zmq.ContextTerminated):
            while True:
                version, number, _, _, _, _, _, password = zap.recv_multipart()
                status = b"200" if password == b"right" else b"400"
                zap.send_multipart([version, number, status, b"", b"", b""])
        zap.close()

    def close(self) -> None:
        self.socket.close()
        self._context.term()
        self._porter.join(5)

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def echo(self) -> list[bytes]:
        """Send the next message back; returns its frames."""
        frames = self.socket.recv_multipart()
        self.socket.send_multipart(frames)
        return frames[1:]

    def connect(self, password: bytes = b"right") -> SocketTransport:
        return SocketTransport.connect(self.endpoint, b"pid", password, 5.0)


@pytest.fixture
def router() -> Iterator[Router]:
    with Router() as made:
        yield made


def exchange(router: Router, transport: SocketTransport, frames: list[bytes]) -> None:
    transport.send(frames)
    while True:  # nothing leaves unless `receive` runs
        assert transport.receive(0.02) is None
        if router.socket.poll(0):
            break
    assert router.echo() == frames
    back = transport.receive(5.0)
    assert back is not None and [bytes(frame) for frame in back] == frames


@pytest.mark.parametrize("kind", ["tcp", "ipc"])
def test_frames_of_every_size_and_number(kind: str, tmp_path: Any) -> None:
    endpoint = f"ipc://{tmp_path}/s" if kind == "ipc" else "tcp://127.0.0.1:*"
    with Router(endpoint) as router:
        transport = router.connect()
        for size in SIZES:
            for count in range(1, MAX_FRAMES + 1):
                exchange(router, transport, [os.urandom(size) for _ in range(count)])
        transport.close()


@pytest.mark.parametrize("step", [1, 2, 7, 64, 4_096])
def test_bytes_in_steps(router: Router, step: int) -> None:
    host, port = router.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        dealer = Dealer(b"pid", b"right")
        body = os.urandom(70_000 if step > 1 else 66_000)
        got: list[Any] = []
        sent = False
        while not (got and isinstance(got[-1], Received)):
            while dealer.outgoing:
                data = bytes(dealer.outgoing.popleft())
                for start in range(0, len(data), max(step, 512)):
                    raw.sendall(data[start : start + max(step, 512)])
            data = raw.recv(1 << 20)
            assert data
            for start in range(0, len(data), step):
                dealer.receive_data(data[start : start + step])
            while event := dealer.next_event():
                got.append(event)
            if dealer.is_ready and not sent:
                sent = True
                dealer.send([b"header", body])
                while dealer.outgoing:
                    raw.sendall(dealer.outgoing.popleft())
                assert router.echo() == [b"header", body]
        assert isinstance(got[0], Ready)
        assert [bytes(frame) for frame in got[-1].frames] == [b"header", body]


def test_the_wrong_password_is_refused(router: Router) -> None:
    with pytest.raises(BadToken, match="400"):
        router.connect(b"wrong")
    transport = router.connect()  # and costs nobody else anything
    exchange(router, transport, [b"x"])
    transport.close()


@pytest.mark.parametrize("is_beating", [True, False])
def test_heartbeats(is_beating: bool) -> None:
    options = {"heartbeat_ivl": 40, "heartbeat_timeout": 1_000} if is_beating else {}
    with Router(**options) as router:
        transport = router.connect()
        for _ in range(12 if is_beating else 2):  # idle for longer than the timeout
            assert transport.receive(0.1) is None
        for _ in range(4):  # a PONG must not land inside a frame
            exchange(router, transport, [b"header", os.urandom(4 << 20)])
        transport.close()


def test_our_own_ping_is_answered(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pid_client.transport.PING_S", 0.02)
    monkeypatch.setattr("pid_client.transport.SILENCE_S", 0.5)
    transport = router.connect()
    assert transport.receive(1.0) is None  # twice the silence that would end it
    transport.close()


def test_a_silent_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pid_client.transport.PING_S", 0.02)
    monkeypatch.setattr("pid_client.transport.SILENCE_S", 0.1)
    with served(GREETING, b"\x04\x08\x07WELCOME", READY, hold=True) as endpoint:
        transport = SocketTransport.connect(endpoint, b"pid", b"x", 5.0)
        with pytest.raises(ConnectionLost, match="sign of life"):
            transport.receive(5.0)
        transport.close()


def test_sixty_four_mebibytes_in_bands_and_in_one_frame(router: Router) -> None:
    bands = [os.urandom(1 << 16) * 64 for _ in range(4)]
    whole = os.urandom(1 << 16) * 1024
    assert len(whole) == MAX_BAND_BYTES

    def answer() -> None:
        for _ in range(17):
            router.echo()

    helper = threading.Thread(target=answer)
    helper.start()
    transport = router.connect()
    for number in range(16):
        transport.send([b"band", bands[number % 4]])
    transport.send([b"whole", whole])
    for number in range(17):
        frames = transport.receive(20.0)
        assert frames is not None
        assert frames[1] == (bands[number % 4] if number < 16 else whole)
    helper.join()
    transport.close()


def test_a_router_that_closes_is_noticed() -> None:
    router = Router()
    transport = router.connect()
    router.close()
    with pytest.raises(ConnectionLost):
        transport.receive(5.0)
    transport.close()


def test_last_words_are_read_although_nothing_can_be_written_any_more() -> None:
    with served(GREETING, b"\x04\x08\x07WELCOME", READY, b"\x00\x06adieu!", deaf=True) as endpoint:
        transport = SocketTransport.connect(endpoint, b"pid", b"x", 2.0)
        time.sleep(0.1)
        transport.send([bytes(1 << 20)])
        transport.send([bytes(1 << 20)])
        assert transport.receive(2.0) == (b"adieu!",)
        with pytest.raises(ConnectionLost):
            transport.receive(2.0)
        transport.close()


def test_waking_ends_a_wait_early(router: Router) -> None:
    transport = router.connect()
    threading.Timer(0.05, transport.wake).start()
    began_s = time.monotonic()
    assert transport.receive(10.0) is None
    assert time.monotonic() - began_s < 5
    transport.close()


# --- peers that are none -------------------------------------------------------------------------


@contextlib.contextmanager
def served(*pieces: bytes, hold: bool = False, deaf: bool = False) -> Iterator[str]:
    """Somebody who says the pieces, whatever is asked, and hangs up unless told to hold.

    A deaf one stops to listen after the first bytes of the handshake.
    """
    path = tempfile.mkdtemp()
    if deaf:  # only a unix socket keeps what was said for one who cannot answer any more
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{path}/s")
        listener.listen()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
    ends = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.01)
                if deaf:
                    connection.shutdown(socket.SHUT_RD)
                    time.sleep(0.3)
                elif hold:
                    ends.wait(10)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(2)
                    while connection.recv(4096):
                        pass

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield f"ipc://{path}/s" if deaf else f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ends.set()
        thread.join(10)
        listener.close()
        shutil.rmtree(path)


@pytest.mark.parametrize(
    "pieces, error, words",
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], RemoteProtocolError, "does not speak ZMTP 3"),
        ([b"SSH-2.0-OpenSSH_9.9\r\n"], RemoteProtocolError, "does not speak ZMTP 3"),
        ([b"\x01\x00"], RemoteProtocolError, "does not speak ZMTP 3"),
        ([GREETING[:10] + b"\x01\x06\x00\x00"], RemoteProtocolError, "speaks ZMTP 1"),
        ([GREETING[:10] + b"\x02" + GREETING[11:]], RemoteProtocolError, "speaks ZMTP 2"),
        ([GREETING.replace(b"PLAIN", b"NULL\0")], RemoteProtocolError, "NULL"),
        ([GREETING.replace(b"PLAIN", b"CURVE")], RemoteProtocolError, "CURVE"),
        ([GREETING, b"\x00\x01x"], RemoteProtocolError, "before the handshake"),
        ([GREETING, b"\x04\x05\x07WELC"], RemoteProtocolError, "cut off"),
        ([GREETING, b"\x04\x00"], RemoteProtocolError, "cut off"),
        ([GREETING, b"\x04\x05\x04NOPE"], RemoteProtocolError, "NOPE"),
        ([GREETING, b"\x05\x08\x07WELCOME"], RemoteProtocolError, "flags"),
        ([GREETING, b"\x80\x00"], RemoteProtocolError, "flags 0x80"),
        ([GREETING, b"\x06" + (1 << 40).to_bytes(8, "big")], RemoteProtocolError, "at most 65536"),
        ([GREETING, b"\x04\x0a\x05ERROR\x03400"], BadToken, "400"),
        ([GREETING], ConnectionLost, "closed"),
        ([GREETING[:30]], ConnectionLost, "closed"),
        ([], ConnectionLost, "closed"),
    ],
)
def test_wrong_peers_are_told_apart(pieces: list[bytes], error: type[PidError], words: str) -> None:
    with served(*pieces) as endpoint, pytest.raises(error, match=words):
        SocketTransport.connect(endpoint, b"pid", b"x", 2.0).close()


LONG = b"\x02" + (MAX_BAND_BYTES + (2 << 20)).to_bytes(8, "big")


@pytest.mark.parametrize(
    "pieces, error, words",
    [
        ([LONG], RemoteProtocolError, "at most"),
        ([b"\x01\x01x" * 3 + b"\x00\x01x"], RemoteProtocolError, "more than 3 frames"),
        ([b"\x00\x09cut"], ConnectionLost, "closed"),
        ([b"\x02" + (1 << 20).to_bytes(8, "big") + b"cut" * 50], ConnectionLost, "closed"),
        ([b"\x01\x01x", b"\x02\x00"], ConnectionLost, "closed"),
        ([b"\x04\x0e\x05ERROR\x07Go away"], ConnectionLost, "Go away"),
    ],
)
def test_broken_connections_after_the_handshake(
    pieces: list[bytes], error: type[PidError], words: str
) -> None:
    with served(GREETING, b"\x04\x08\x07WELCOME", READY, *pieces) as endpoint:
        transport = SocketTransport.connect(endpoint, b"pid", b"x", 2.0)
        try:
            with pytest.raises(error, match=words):
                transport.receive(2.0)
        finally:
            transport.close()


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:x", "udp://127.0.0.1:1", "ipc:///nowhere/s", "ipc://" + "x" * 300]
)
def test_endpoints_that_lead_nowhere(endpoint: str) -> None:
    with pytest.raises(DaemonNotRunning):
        SocketTransport.connect(endpoint, b"pid", b"x", 2.0)


# --- the state alone -----------------------------------------------------------------------------


def ready_dealer() -> Dealer:
    dealer = Dealer(b"pid", b"x")
    dealer.receive_data(GREETING + b"\x04\x08\x07WELCOME" + READY)
    assert isinstance(dealer.next_event(), Ready)
    dealer.outgoing.clear()
    return dealer


def test_nothing_is_sent_before_the_handshake_is_complete() -> None:
    dealer = Dealer(b"pid", b"x")
    with pytest.raises(LocalProtocolError, match="handshake"):
        dealer.send([b"x"])
    dealer.ping()
    assert len(dealer.outgoing) == 1  # the greeting


def test_a_ping_is_answered_with_its_context() -> None:
    dealer = ready_dealer()
    dealer.receive_data(b"\x04\x0e\x04PING\x00\x10contexts"[:16])
    assert bytes(dealer.outgoing[0]) == b"\x04\x0c\x04PONGcontext"
    assert dealer.next_event() is None


def test_commands_of_the_future_are_ignored() -> None:
    dealer = ready_dealer()
    dealer.receive_data(b"\x04\x09\x08SHINYNEW" + b"\x00\x01x")
    assert dealer.next_event() == Received((b"x",))


def test_libzmqs_own_spelling_of_error() -> None:
    dealer = Dealer(b"pid", b"x")
    dealer.receive_data(GREETING + b"\x04\x09^RROR\x03400")
    assert dealer.next_event() == Refused("400")


def test_mutated_bytes_are_understood_or_refused_and_nothing_else() -> None:
    dice = random.Random(11)
    good = (
        GREETING
        + b"\x04\x08\x07WELCOME"
        + READY
        + b"\x01\x02hi\x00\x03you"
        + b"\x04\x07\x04PING\0\0"
    )
    refused = 0
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        dealer = Dealer(b"pid", b"x")
        try:
            step = dice.randrange(1, 40)
            for start in range(0, len(data), step):
                dealer.receive_data(data[start : start + step])
        except RemoteProtocolError:
            refused += 1
    assert refused > 1_000


def test_large_frames_are_received_in_place_and_sent_without_a_copy() -> None:
    dealer = ready_dealer()
    body = bytearray(os.urandom(1 << 20))
    dealer.send([b"h", memoryview(body)])
    assert any(getattr(piece, "obj", piece) is body for piece in dealer.outgoing)
    dealer.receive_data(b"\x01\x01h\x02" + len(body).to_bytes(8, "big") + body[:1000])
    target = dealer.buffer()
    assert target is not None and len(target) == len(body) - 1000
    target[:] = body[1000:]
    dealer.filled(len(target))
    event = dealer.next_event()
    assert isinstance(event, Received) and event.frames == (b"h", body)
