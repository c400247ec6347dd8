# SPDX-License-Identifier: Apache-2.0
"""The first words of a connection: who we are, and the proof that the other side is the daemon."""

from __future__ import annotations

from pid_protocol import PROGRAM_VERSION, PROTOCOL_VERSION, auth
from pid_protocol.errors import (
    BadToken,
    DaemonNotRunning,
    RemoteProtocolError,
    VersionMismatch,
    from_wire,
)
from pid_protocol.headers import Message, from_header, to_header
from pid_protocol.messages import EVENTS, Error, Hello, Welcome
from pid_protocol.msgpack import packb, unpackb
from pid_protocol.zmtp import Bytes

from .transport import Transport


def greet(transport: Transport, client: str, token: str, timeout_s: float) -> None:
    """Exchange `hello` and `welcome`; nothing else may be sent before.

    Raises:
        DaemonNotRunning: nobody greets back in time.
        BadToken: whoever answers cannot prove that it is the daemon.
        VersionMismatch: it speaks another protocol version.
        RemoteProtocolError: it answers something else.
    """
    challenge = auth.new_challenge()
    hello = Hello(PROTOCOL_VERSION, client, PROGRAM_VERSION, challenge)
    transport.send(frames_of(hello, id=0))
    frames = transport.receive(timeout_s)
    if frames is None:
        raise DaemonNotRunning(f"The daemon did not greet within {timeout_s:g} s.")
    message = from_header(unpackb(frames[0]), EVENTS)
    if isinstance(message, Error):
        raise from_wire(message.code, message.message, message.hint)
    if not isinstance(message, Welcome):
        raise RemoteProtocolError(f"The daemon greeted with {message.type!r}.")
    if not auth.is_same(message.proof, auth.daemon_proof(token, challenge)):
        raise BadToken(
            "Whoever answers on the daemon's port cannot prove that it is the daemon.",
            "Nothing was sent. Restart the daemon with `pid stop` and `pid serve`.",
        )
    if message.protocol != PROTOCOL_VERSION:
        raise mismatch(message.protocol, message.version)


def mismatch(protocol: int, version: str) -> VersionMismatch:
    """The error about a daemon of another protocol version."""
    return VersionMismatch(
        f"The daemon ({version}) speaks protocol {protocol}, "
        f"this client ({PROGRAM_VERSION}) speaks {PROTOCOL_VERSION}.",
        "Stop the daemon with `pid stop`, and install client and daemon of the same version.",
    )


def frames_of(message: Message, *blobs: Bytes, **envelope: int) -> list[Bytes]:
    """A message as it goes over the wire.

    Raises:
        LocalProtocolError: its header cannot be written.
    """
    return [packb(to_header(message, **envelope)), *blobs]
