# SPDX-License-Identifier: Apache-2.0
"""Messages from clients: decoded, carried out, answered. Nothing here waits, and no error leaves
its own client."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import zmq

from pid_client.options import validated
from pid_core.plan import DeviceFacts
from pid_daemon.broker import plans
from pid_daemon.broker.admission import check_image
from pid_daemon.broker.books import Books
from pid_daemon.broker.delivery import Deliveries
from pid_daemon.broker.jobs import ENDED, UNFINISHED, Job, State
from pid_daemon.broker.sessions import Session, Sessions
from pid_daemon.broker.submission import Submission
from pid_daemon.settings_file import accept_licence
from pid_daemon.wire import Buffer, unpack_header
from pid_protocol import PROGRAM_VERSION, PROTOCOL_VERSION
from pid_protocol.errors import (
    InternalError,
    InvalidRequest,
    PidError,
    RemoteProtocolError,
    VersionMismatch,
)
from pid_protocol.headers import Message, from_header
from pid_protocol.licences import licence
from pid_protocol.limits import MAX_FRAMES
from pid_protocol.messages import (
    REQUESTS,
    AcceptLicence,
    Band,
    Cancel,
    Credit,
    Error,
    Fetch,
    Forget,
    GetJobs,
    GetModels,
    GetPlan,
    GetStatus,
    Hello,
    Jobs,
    Ok,
    Queued,
    Shutdown,
    Status,
    Submit,
    Unload,
    Welcome,
)

log = logging.getLogger(__name__)

MAX_CLIENT_CHARS = 64
CHALLENGE_BYTES = 16


class Actions(Protocol):
    """What a request may set in motion beyond the books."""

    def cancel(self, job: Job) -> None:
        """Stop a job, wherever it is."""
        ...

    def pump(self, session: Session) -> None:
        """Send what a connection has leave to get."""
        ...

    def unload(self) -> None:
        """End the workers as soon as they are idle."""
        ...

    def shut_down(self) -> None:
        """End the daemon."""
        ...

    def status(self) -> Status:
        """What the daemon is doing."""
        ...

    def send_models(self, session: Session, to: int | None) -> None:
        """Answer with every weights file, in a while."""
        ...

    def look_soon(self) -> None:
        """Look for weights again, some time."""

    def settled(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with what the settings say where a client leaves it open."""
        ...

    def facts(self, options: Mapping[str, Any]) -> DeviceFacts:
        """What is known of the device now, and of the engine that the options ask for."""
        ...


class Dispatcher:
    """Carries out what clients ask for."""

    def __init__(
        self,
        sessions: Sessions,
        books: Books,
        deliveries: Deliveries,
        submission: Submission,
        actions: Actions,
        prove: Callable[[bytes], bytes],
    ) -> None:
        """Wire it up; `prove` answers a challenge."""
        self._sessions = sessions
        self._books = books
        self._deliveries = deliveries
        self._submission = submission
        self._actions = actions
        self._prove = prove

    def receive(self, route: bytes, frames: Sequence[zmq.Frame]) -> None:
        """Handle one message, whatever is in it."""
        session = self._sessions.open(route)
        to: int | None = None
        try:
            if not 0 < len(frames) <= MAX_FRAMES:
                raise RemoteProtocolError(
                    f"A message has 1 to {MAX_FRAMES} frames, not {len(frames)}."
                )
            header = unpack_header(frames[0].buffer)
            number = header.get("id")
            if isinstance(number, int) and not isinstance(number, bool):
                to = number
            message = from_header(header, REQUESTS)
            self._serve(session, message, [frame.buffer for frame in frames[1:]], to)
        except PidError as error:
            self._sessions.refuse(session, error, to)
        except Exception:
            # A defect of ours: its own client is told, everybody else is served on.
            log.exception("a request of %s failed", session.client or "a client")
            self._sessions.refuse(
                session, InternalError("The daemon failed at this request.", "See `pid log`."), to
            )

    def _serve(
        self, session: Session, message: Message, blobs: Sequence[Buffer], to: int | None
    ) -> None:
        if isinstance(message, Hello):
            self._hello(session, message, to)
            return
        if not session.client:
            raise RemoteProtocolError("The first message of a connection has to be hello.")
        if blobs and not isinstance(message, (Submit, Band)):
            raise RemoteProtocolError(f"A {message.type} has no blobs.")
        match message:
            case Band():
                self._submission.band(session, message, blobs)
            case Credit():
                self._credit(session, message)
            case Submit():
                if len(blobs) > 1:
                    raise RemoteProtocolError(f"A submit has one blob at most, not {len(blobs)}.")
                self._submission.submit(session, message, blobs, to)
            case Fetch():
                self._fetch(session, message, to)
            case GetModels():
                self._actions.send_models(session, to)
            case _:
                self._sessions.answer(session, self._answer(message), to)

    def _answer(self, message: Message) -> Message:
        """Requests that are answered at once with one message."""
        match message:
            case GetStatus():
                return self._actions.status()
            case GetJobs():
                places = {job: place for place, job in enumerate(self._books.queue.order(), 1)}
                return Jobs([job.to_row(places.get(job.id, 0)) for job in self._books])
            case GetPlan():
                check_image(message.image, message.region)
                options = self._actions.settled(validated(message.kind, message.options))
                asked = replace(message, options=options)
                facts = self._actions.facts(asked.options)
                return plans.answer(plans.plan_of(asked, facts), facts)
            case Cancel():
                self._actions.cancel(self._books.find(message.job))
            case Forget():
                self._forget(self._books.find(message.job))
            case AcceptLicence():
                accept_licence(licence(message.licence).name)
            case Unload():
                self._actions.unload()
            case Shutdown():
                self._shutdown(message)
            case _:
                raise RemoteProtocolError(f"A {message.type} is not a request.")
        return Ok()

    def _hello(self, session: Session, hello: Hello, to: int | None) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            raise VersionMismatch(
                f"The daemon ({PROGRAM_VERSION}) speaks protocol {PROTOCOL_VERSION}, this client "
                f"({hello.version[:32]}) speaks {hello.protocol}.",
                "Update the older one; `pid install` renews the plugins.",
            )
        if len(hello.challenge) != CHALLENGE_BYTES:
            raise InvalidRequest(
                f"The challenge has {len(hello.challenge)} bytes instead of {CHALLENGE_BYTES}."
            )
        if not 0 < len(hello.client) <= MAX_CLIENT_CHARS:
            raise InvalidRequest(f"A client's name has 1 to {MAX_CLIENT_CHARS} characters.")
        session.client = hello.client
        self._actions.look_soon()
        proof = self._prove(hello.challenge)
        self._sessions.answer(session, Welcome(PROTOCOL_VERSION, PROGRAM_VERSION, proof), to)

    def _credit(self, session: Session, credit: Credit) -> None:
        self._deliveries.credit(session, credit.job, credit.bands)
        self._actions.pump(session)

    def _fetch(self, session: Session, fetch: Fetch, to: int | None) -> None:
        job = self._books.find(fetch.job)
        self._sessions.answer(session, Ok(), to)
        if job.state in UNFINISHED:
            job.followers.add(session.route)
            if job.state is State.QUEUED:
                self._sessions.tell(session, Queued(job.id, max(0, job.position)))
            elif job.progress:
                self._sessions.tell(session, job.progress)
        elif job.state is State.DONE:
            job.followers.add(session.route)
            self._deliveries.offer(self._sessions, session, job)
        elif job.error:
            job.reported = True
            error = job.error
            self._sessions.tell(session, Error(error.code, error.message, error.hint, job.id))

    def _forget(self, job: Job) -> None:
        if job.state not in ENDED:
            self._actions.cancel(job)
        if job.state in ENDED:
            self._deliveries.drop_job(job.id)
            self._books.forget(job)

    def _shutdown(self, message: Shutdown) -> None:
        under_way = sum(job.state in UNFINISHED for job in self._books)
        if under_way and not message.force:
            raise InvalidRequest(
                f"{under_way} job{'s are' if under_way > 1 else ' is'} under way.",
                "Wait, or stop with force.",
            )
        self._actions.shut_down()
