# SPDX-License-Identifier: Apache-2.0
"""A connection to the daemon: requests, jobs, and one background thread that owns the socket.

The thread sends what is queued, gives bands as credit comes, collects results, and hands events to
the jobs' own queues; every public method may be called from any other thread and waits no longer
than its timeout.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pid_protocol import PROTOCOL_VERSION, auth, discovery
from pid_protocol.errors import (
    ConnectError,
    ConnectionLost,
    DaemonNotRunning,
    PidError,
    RemoteProtocolError,
    TimedOut,
    from_wire,
)
from pid_protocol.headers import Message, from_header
from pid_protocol.messages import EVENTS, Error, Fetch
from pid_protocol.msgpack import unpackb
from pid_protocol.zmtp import Bytes

from .greeting import frames_of, greet, mismatch
from .job import JobSpec
from .tracked import Job
from .transfer import Upload
from .transport import SocketTransport, Transport

REQUEST_S = 30.0
"""How long an answer may take unless a caller says otherwise."""
CONNECT_S = 5.0
_IDLE_S = 60.0
_FLUSH_S = 1.0
"""How long `close` lets a last `cancel` or `forget` leave."""


class Session:
    """One connection; use `Session.connect`, and `close` or `with` at the end.

    Args:
        transport: connected, before `hello`; owned from now on.
        client: who is talking, shown in `pid status`.
        token: of the connection file.
        timeout_s: for the exchange of `hello` and `welcome`.
    Raises:
        BadToken: the daemon could not prove itself.
        VersionMismatch: it speaks another protocol version.
    """

    def __init__(self, transport: Transport, client: str, token: str, timeout_s: float) -> None:
        self._transport = transport
        self._next_id = 0
        self._lock = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[Message | PidError]] = {}
        self._posted: set[int] = set()
        self._jobs: dict[str, Job] = {}
        self._submitted: dict[int, Job] = {}
        self._orders: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._is_closing = False
        self._lost: PidError | None = None
        greet(transport, client, token, timeout_s)
        self._thread = threading.Thread(target=self._run, name="pid-session", daemon=True)
        self._thread.start()

    @classmethod
    def connect(
        cls,
        *,
        client: str,
        connection_file: Path | None = None,
        timeout_s: float = CONNECT_S,
    ) -> Session:
        """Connect to the daemon that the connection file names.

        Args:
            client: `gimp`, `krita`, `cli`, …
            connection_file: None = the default place.
            timeout_s: for each endpoint.
        Raises:
            DaemonNotRunning: nobody is there.
            BadToken: either side could not prove itself.
            VersionMismatch: the daemon is of another protocol version.
        """
        info = discovery.read(connection_file or discovery.default_path())
        password = auth.client_password(info.token)
        error: PidError | None = None
        for endpoint in info.endpoints:
            try:
                transport = SocketTransport.connect(endpoint, auth.USERNAME, password, timeout_s)
            except (DaemonNotRunning, RemoteProtocolError, ConnectionLost) as problem:
                error = error or problem
                continue
            try:
                if info.protocol != PROTOCOL_VERSION:  # only now: a dead daemon's file says nothing
                    raise mismatch(info.protocol, info.version)
                return cls(transport, client, info.token, timeout_s)
            except BaseException:
                transport.close()
                raise
        raise DaemonNotRunning(
            "The connection file names a daemon that does not answer: "
            f"{error.message if error else 'it names no endpoint'}",
            discovery.START_HINT,
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost is not None

    def request(self, message: Message, timeout_s: float = REQUEST_S) -> Message:
        """Send a request and wait for its answer.

        Raises:
            PidError: the daemon's refusal.
            ConnectionLost: the connection ended.
            TimedOut: no answer came in time.
        """
        number = self._new_id()
        frames = frames_of(message, id=number)
        answer: queue.SimpleQueue[Message | PidError] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = answer
        try:
            self._order(lambda: self._transport.send(frames))
            result = answer.get(timeout=timeout_s)
        except queue.Empty:
            raise TimedOut(
                f"The daemon did not answer {message.type} within {timeout_s:g} s."
            ) from None
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if isinstance(result, PidError):
            raise result
        return result

    def submit(self, spec: JobSpec, pixels: Bytes) -> Job:
        """Start a job; its pixels are sent in the background and must not change until it is
        queued.

        Args:
            spec: what to do.
            pixels: `spec.image.num_bytes` bytes.
        Raises:
            InvalidRequest: an option is not allowed.
            InvalidImage: pixels, profile or mask do not fit the format.
        """
        submit = spec.submit()
        job = Job(spec.job, self, Upload(spec, pixels))
        blobs = [spec.icc] if spec.icc is not None else []
        number = self._new_id()
        frames = frames_of(submit, *blobs, id=number)

        def start() -> None:
            self._jobs[job.id] = self._submitted[number] = job
            self._transport.send(frames)

        self._order(start)
        return job

    def fetch(self, name: str, timeout_s: float = REQUEST_S) -> Job:
        """Follow a job that was submitted before, or receive its finished result again.

        Raises:
            UnknownJob: no such job is kept.
        """
        job = Job(name, self, None)
        self._order(lambda: self._jobs.update({name: job}))
        try:
            self.request(Fetch(name), timeout_s)
        except PidError:
            self._order(lambda: self._jobs.pop(name, None))
            raise
        return job

    def close(self) -> None:
        """End the connection; unfinished jobs that are not detached are dropped by the daemon."""
        self._is_closing = True
        self._transport.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    # --- for Job ---------------------------------------------------------------------------------

    def post(self, message: Message) -> None:
        """Send a request whose answer nobody waits for, except `close`, a little."""
        number = self._new_id()
        frames = frames_of(message, id=number)
        self._posted.add(number)
        self._order(lambda: self._transport.send(frames))

    # --- any thread ------------------------------------------------------------------------------

    def _new_id(self) -> int:
        with self._lock:
            self._next_id += 1
            return self._next_id

    def _order(self, action: Callable[[], object]) -> None:
        if self._lost is not None:
            raise self._lost
        self._orders.put(action)
        self._transport.wake()
        if self._lost is not None:  # it was lost meanwhile: nobody will carry the order out
            raise self._lost

    # --- the session's thread --------------------------------------------------------------------

    def _run(self) -> None:
        error: PidError = ConnectionLost("The connection was closed.")
        try:
            while not self._is_closing:
                self._carry_out_orders()
                frames = self._transport.receive(_IDLE_S)
                if frames is not None:
                    self._take(frames)
            self._carry_out_orders()
            self._flush()
        except PidError as problem:
            error = problem
        except Exception as defect:
            error = ConnectionLost(f"The connection ended by a defect of the client: {defect!r}.")
            raise
        finally:
            self._end(error)

    def _flush(self) -> None:
        """Give a last cancel or forget the time to arrive.

        Sending is not enough: a socket that is closed over unread bytes resets the connection, and
        the daemon's system then throws away what the daemon has not read yet.
        """
        deadline_s = time.monotonic() + _FLUSH_S
        while self._transport.has_unsent or self._posted:
            if time.monotonic() > deadline_s:
                return
            frames = self._transport.receive(0.05)
            if frames is not None:
                self._take(frames)

    def _carry_out_orders(self) -> None:
        while not self._orders.empty():
            self._orders.get()()

    def _take(self, frames: Sequence[bytes | bytearray]) -> None:
        header = unpackb(frames[0])
        message = from_header(header, EVENTS)
        number = header.get("re")
        if isinstance(number, int) and number not in self._submitted:
            self._hand_over(number, message)
            return
        job = self._submitted.pop(number, None) if isinstance(number, int) else None
        job = job or self._jobs.get(getattr(message, "job", None) or "")
        if job is None:
            return  # of a job that nobody here follows any more
        try:
            for reply, blobs in job.receive(message, frames[1:]):
                self._transport.send(frames_of(reply, *blobs))
        except PidError as error:  # it costs this job alone
            job.fail(error)
        if job.is_over:
            self._jobs.pop(job.id, None)

    def _hand_over(self, number: int, message: Message) -> None:
        self._posted.discard(number)
        with self._lock:
            answer = self._answers.pop(number, None)
        if answer is not None:
            is_error = isinstance(message, Error)
            answer.put(
                from_wire(message.code, message.message, message.hint) if is_error else message
            )

    def _end(self, error: PidError) -> None:
        self._lost = (
            error if isinstance(error, ConnectError) else ConnectionLost(error.message, error.hint)
        )
        with contextlib.suppress(PidError):
            self._carry_out_orders()  # given too late: their jobs have to end like all others
        self._transport.close()
        with self._lock:
            waiting = list(self._answers.values())
            self._answers.clear()
        for answer in waiting:
            answer.put(self._lost)
        hint = "The result may be kept: look with `pid jobs`, or recover the last result."
        for job in self._jobs.values():
            job.fail(ConnectionLost(self._lost.message, hint))
