# SPDX-License-Identifier: Apache-2.0
"""ZMTP 3.0 as a DEALER with PLAIN, without input or output: bytes in, events out, bytes to send
out.

Rules of this file:
- everything to be sent goes through one queue, `outgoing`: handshake, PONGs and messages never mix
inside a frame;
- a frame's size is checked before memory for it is made;
- large frames are received straight into their own buffer (`buffer`, `filled`), never through a
copy.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0) and /spec/24 (PLAIN).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import LocalProtocolError, RemoteProtocolError
from .limits import MAX_BAND_BYTES, MAX_COMMAND_BYTES, MAX_FRAMES, MAX_HEADER_BYTES

Bytes = bytes | bytearray | memoryview

_GREETING_BYTES = 64
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM = b"PLAIN"
_MORE, _LONG, _COMMAND = 1, 2, 4
_LIBZMQ_ERROR = b"^RROR"
"""How libzmq 4.3 spells ERROR: in its source, "\\x5ERROR" begins with the one character 0x5E."""
_DIRECT_BYTES = 64 << 10
"""Bodies from this size on are received into their own buffer."""


@dataclass(frozen=True)
class Ready:
    """The handshake is complete; messages may be sent."""


@dataclass(frozen=True)
class Refused:
    """The other side ended the handshake."""

    reason: str
    """Its words."""


@dataclass(frozen=True)
class Received:
    """One whole message."""

    frames: tuple[bytes | bytearray, ...]
    """At least one."""


Event = Ready | Refused | Received


class Dealer:
    """One connection's protocol state.

    Args:
        username: for PLAIN, at most 255 bytes.
        password: for PLAIN, at most 255 bytes.
        max_frame_bytes: larger frames of a message are an error.
    """

    def __init__(
        self,
        username: bytes,
        password: bytes,
        max_frame_bytes: int = MAX_BAND_BYTES + MAX_HEADER_BYTES,
    ) -> None:
        self._username, self._password = username, password
        self._max_frame_bytes = max_frame_bytes
        self._events: deque[Event] = deque()
        self._input = bytearray()
        self._state = "greeting"
        self._frames: list[bytes | bytearray] = []
        self._body: bytearray | None = None
        self._body_flags = 0
        self._body_filled = 0
        greeting = _SIGNATURE + b"\x03\x00" + _MECHANISM.ljust(20, b"\0") + b"\0"
        self.outgoing: deque[Bytes] = deque([greeting.ljust(_GREETING_BYTES, b"\0")])
        """Bytes to be sent, in order; the owner of the socket takes them from the left."""

    @property
    def is_ready(self) -> bool:
        """Whether messages may be sent."""
        return self._state == "ready"

    @property
    def has_event(self) -> bool:
        """Whether `next_event` has something."""
        return bool(self._events)

    def send(self, frames: Sequence[Bytes]) -> None:
        """Queue one message; large frames are not copied, so they must not change until they are
        sent.

        Raises:
            LocalProtocolError: the handshake is not complete, or there is no frame.
        """
        if not self.is_ready:
            raise LocalProtocolError("A message was to be sent before the handshake was complete.")
        if not frames:
            raise LocalProtocolError("A message needs at least one frame.")
        for i, frame in enumerate(frames):
            view = memoryview(frame).cast("B") if isinstance(frame, memoryview) else frame
            self._queue_frame(_MORE if i < len(frames) - 1 else 0, view)

    def ping(self) -> None:
        """Ask the other side for a sign of life; its answer only shows as bytes that come in."""
        if self.is_ready:
            self._queue_command(b"PING", b"\0\0")

    def next_event(self) -> Event | None:
        """The oldest event that was not taken yet."""
        return self._events.popleft() if self._events else None

    def buffer(self) -> memoryview | None:
        """Where the next bytes of a large frame belong; None = use `receive_data`."""
        if self._body is None:
            return None
        return memoryview(self._body)[self._body_filled :]

    def filled(self, num_bytes: int) -> None:
        """Say that the first `num_bytes` of `buffer()` have been written."""
        if self._body is None:
            raise LocalProtocolError("There is no frame to be filled.")
        self._body_filled += num_bytes
        if self._body_filled == len(self._body):
            body, self._body = self._body, None
            self._finish_frame(self._body_flags, body)

    def receive_data(self, data: Bytes) -> None:
        """Take bytes as they come from the socket, in pieces of any size.

        Raises:
            RemoteProtocolError: the other side does not keep to the protocol; close the connection.
        """
        view = memoryview(data)
        while len(view):
            target = self.buffer()
            if target is not None:
                size = min(len(target), len(view))
                target[:size] = view[:size]
                self.filled(size)
                view = view[size:]
            else:
                self._input += view
                view = view[len(view) :]
                view = memoryview(self._parse())

    def _parse(self) -> bytes:
        """Work through the buffered bytes; return those that belong to a large frame."""
        while True:
            if self._state == "greeting":
                if not self._take_greeting():
                    return b""
            elif not self._take_frame():
                return b""
            if self._body is not None:
                rest = bytes(self._input)
                self._input.clear()
                return rest

    def _take_greeting(self) -> bool:
        data = self._input
        if data[:1] and data[0] != 0xFF or len(data) >= 10 and data[9] != 0x7F:
            raise RemoteProtocolError(
                "The other side does not speak ZMTP 3: it is not a daemon of ours."
            )
        if len(data) >= 11 and data[10] < 3:
            raise RemoteProtocolError(f"The other side speaks ZMTP {data[10]}; ZMTP 3 is needed.")
        if len(data) < _GREETING_BYTES:
            return False
        mechanism = bytes(data[12:32]).rstrip(b"\0")
        if mechanism != _MECHANISM:
            raise RemoteProtocolError(
                f"The other side wants {mechanism!r}; {_MECHANISM!r} is needed."
            )
        del data[:_GREETING_BYTES]
        self._state = "hello"
        self._queue_command(b"HELLO", _short(self._username) + _short(self._password))
        return True

    def _take_frame(self) -> bool:
        data = self._input
        if len(data) < 2:
            return False
        flags = data[0]
        if flags & ~(_MORE | _LONG | _COMMAND) or flags & _COMMAND and flags & _MORE:
            raise RemoteProtocolError(f"A frame has the flags 0x{flags:02x}, which do not exist.")
        start = 9 if flags & _LONG else 2
        if len(data) < start:
            return False
        size = struct.unpack_from(">Q", data, 1)[0] if flags & _LONG else data[1]
        self._check_size(flags, size)
        if size >= _DIRECT_BYTES:
            del data[:start]
            self._body, self._body_flags, self._body_filled = bytearray(size), flags, 0
            return True
        if len(data) < start + size:
            return False
        body = bytes(data[start : start + size])
        del data[: start + size]
        self._finish_frame(flags, body)
        return True

    def _check_size(self, flags: int, size: int) -> None:
        limit = MAX_COMMAND_BYTES if flags & _COMMAND else self._max_frame_bytes
        if size > limit:
            raise RemoteProtocolError(f"A frame has {size} bytes; at most {limit} are taken.")

    def _finish_frame(self, flags: int, body: bytes | bytearray) -> None:
        if flags & _COMMAND:
            self._finish_command(bytes(body))
            return
        if not self.is_ready:
            raise RemoteProtocolError("A message came before the handshake was complete.")
        self._frames.append(body)
        if len(self._frames) > MAX_FRAMES:
            raise RemoteProtocolError(f"A message has more than {MAX_FRAMES} frames.")
        if not flags & _MORE:
            self._events.append(Received(tuple(self._frames)))
            self._frames = []

    def _finish_command(self, body: bytes) -> None:
        if body.startswith(_LIBZMQ_ERROR):
            body = b"\x05ERROR" + body[len(_LIBZMQ_ERROR) :]
        name, rest = _split_short(body)
        if name == b"PING":
            self._queue_command(b"PONG", rest[2:])
        elif name == b"ERROR":
            reason, _ = _split_short(rest)
            self._events.append(Refused(reason.decode("utf-8", "replace")))
        elif name == b"WELCOME" and self._state == "hello":
            self._state = "initiate"
            metadata = _property(b"Socket-Type", b"DEALER") + _property(b"Identity", b"")
            self._queue_command(b"INITIATE", metadata)
        elif name == b"READY" and self._state == "initiate":
            self._state = "ready"
            self._events.append(Ready())
        elif not self.is_ready:
            raise RemoteProtocolError(f"The command {name!r} does not belong into this handshake.")

    def _queue_command(self, name: bytes, body: bytes) -> None:
        self._queue_frame(_COMMAND, _short(name) + body)

    def _queue_frame(self, flags: int, body: Bytes) -> None:
        size = len(body)
        if size > 255:
            head = struct.pack(">BQ", flags | _LONG, size)
        else:
            head = struct.pack(">BB", flags, size)
        if size < _DIRECT_BYTES:
            self.outgoing.append(head + bytes(body))
        else:
            self.outgoing.append(head)
            self.outgoing.append(body)


def _short(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _split_short(data: bytes) -> tuple[bytes, bytes]:
    if not data or len(data) < 1 + data[0]:
        raise RemoteProtocolError("A command of the handshake is cut off.")
    return data[1 : 1 + data[0]], data[1 + data[0] :]


def _property(name: bytes, value: bytes) -> bytes:
    return _short(name) + struct.pack(">I", len(value)) + value
