# SPDX-License-Identifier: Apache-2.0
"""Per-connection state: what is known of the client, and its bounded outbox. Sending never waits.

libzmq takes a message at once or says that the peer is slow; then it stays here, newer progress
replaces older, previews are dropped first, and a timer tries again. A slow client so costs a
bounded amount of memory and no time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from pid_daemon.broker.sockets import Sent, Sockets
from pid_daemon.wire import pack_header
from pid_protocol.errors import PidError
from pid_protocol.headers import Message, to_header
from pid_protocol.messages import Error, Preview, Progress, Queued

log = logging.getLogger(__name__)

MAX_SESSIONS = 4_096
"""Connections that are remembered; a client with jobs hears probes and is never the quietest."""
MAX_OUTBOX = 4_096
"""Messages kept for one client. Only a client that asks and never reads gets there; it is let
go."""
MAX_ERROR_CHARS = 600
"""An error's sentence may quote what the client sent; not all of it."""
FIRST_RETRY_S, LAST_RETRY_S = 0.01, 0.25
"""Pause before trying a slow client again; doubled each time in vain."""

Frames = list[bytes | memoryview]
REPLACED_BY_NEWER: tuple[type[Message], ...] = (Progress, Queued, Preview)


@dataclass
class Session:
    """One connection."""

    route: bytes
    """Routing id that libzmq gave it."""
    client: str = ""
    """Name from `hello`; empty = no `hello` yet, and no service."""
    outbox: dict[object, Frames] = field(default_factory=dict[object, Frames])
    """What libzmq did not take yet, in order; keys let newer events replace older ones."""
    retry_s: float = FIRST_RETRY_S
    """Pause before the next attempt."""
    last_heard_s: float = 0.0
    """Loop time of the last message that came."""
    last_sent_s: float = 0.0
    """Loop time of the last message that libzmq took, which proved that the peer is there."""
    count: int = 0
    """Makes keys of messages that nothing replaces."""
    is_retrying: bool = False
    """Whether a timer will try again."""
    is_gone: bool = False


class Sessions:
    """All connections."""

    def __init__(
        self, sockets: Sockets, drained: Callable[[Session], None], gone: Callable[[Session], None]
    ) -> None:
        """Begin without connections.

        Args:
            sockets: where messages go.
            drained: called when a slow client has taken all of its outbox, to send more.
            gone: called once when a connection turns out to be closed.
        """
        self._sockets = sockets
        self._drained = drained
        self._gone = gone
        self._by_route: dict[bytes, Session] = {}
        self._loop = asyncio.get_running_loop()

    def get(self, route: bytes) -> Session | None:
        """The session of a routing id, if it is still there."""
        return self._by_route.get(route)

    def open(self, route: bytes) -> Session:
        """The session of a routing id, made when it is the first message."""
        if route not in self._by_route:
            if len(self._by_route) >= MAX_SESSIONS:
                self._forget_the_quietest()
            self._by_route[route] = Session(route)
        session = self._by_route[route]
        session.last_heard_s = self._loop.time()
        return session

    def answer(self, session: Session, message: Message, to: int | None) -> None:
        """Send the answer to a request; `to` is the request's `id`."""
        self._post(session, message, {} if to is None else {"re": to}, b"")

    def tell(self, session: Session, message: Message, blob: bytes = b"") -> None:
        """Send an event."""
        self._post(session, message, {}, blob)

    def refuse(
        self, session: Session, error: PidError, to: int | None, job: str | None = None
    ) -> None:
        """Send an error; with `job` it ends that job."""
        message = Error(error.code, _clip(error.message), _clip(error.hint), job)
        self._post(session, message, {} if to is None else {"re": to}, b"")

    def send_band(self, session: Session, header: bytes, pixels: memoryview) -> bool:
        """Send one band if libzmq takes it now; False = not now (`drained` will be called) or
        never."""
        if session.outbox or session.is_gone:
            return False
        if self._send(session, [header, pixels]) is Sent.SLOW:
            self._retry_later(session)
            return False
        return not session.is_gone

    def close(self, session: Session) -> None:
        """Forget a connection."""
        if not session.is_gone:
            session.is_gone = True
            self._by_route.pop(session.route, None)
            session.outbox.clear()
            # Not at once: whoever was sending is in the middle of a change of its own.
            self._loop.call_soon(self._gone, session)

    def _forget_the_quietest(self) -> None:
        """Closed connections that nothing was sent to since do not show, and would add up."""
        self.close(
            min(self._by_route.values(), key=lambda one: max(one.last_heard_s, one.last_sent_s))
        )

    def _post(
        self, session: Session, message: Message, envelope: dict[str, int], blob: bytes
    ) -> None:
        if session.is_gone:
            return
        frames: Frames = [pack_header(to_header(message, **envelope))]
        if blob:
            frames.append(blob)
        if not session.outbox and self._send(session, frames) is not Sent.SLOW:
            return
        if isinstance(message, Preview):
            return
        if len(session.outbox) >= MAX_OUTBOX:
            log.warning("letting %s go: it asks and does not read", session.client or "a client")
            self.close(session)
            return
        self._keep(session, message, frames)
        if len(session.outbox) == 1:
            self._retry_later(session)

    def _keep(self, session: Session, message: Message, frames: Frames) -> None:
        key: object
        if isinstance(message, REPLACED_BY_NEWER):
            key = (message.type, getattr(message, "job", ""))
        else:
            session.count += 1
            key = session.count
        session.outbox[key] = frames

    def _send(self, session: Session, frames: Frames) -> Sent:
        sent = self._sockets.send(session.route, frames)
        if sent is Sent.TAKEN:
            session.last_sent_s = self._loop.time()
        elif sent is Sent.GONE:
            self.close(session)
        return sent

    def _retry_later(self, session: Session) -> None:
        if not session.is_retrying:
            session.is_retrying = True
            self._loop.call_later(session.retry_s, self._flush, session)

    def _flush(self, session: Session) -> None:
        session.is_retrying = False
        before = len(session.outbox)
        while session.outbox and not session.is_gone:
            key = next(iter(session.outbox))
            if self._send(session, session.outbox[key]) is Sent.SLOW:
                in_vain = len(session.outbox) == before
                session.retry_s = (
                    min(2 * session.retry_s, LAST_RETRY_S) if in_vain else FIRST_RETRY_S
                )
                self._retry_later(session)
                return
            session.outbox.pop(key, None)
        if not session.is_gone:
            session.retry_s = FIRST_RETRY_S
            self._drained(session)


def _clip(text: str) -> str:
    return text if len(text) <= MAX_ERROR_CHARS else text[:MAX_ERROR_CHARS] + "…"
