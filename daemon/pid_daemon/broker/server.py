# SPDX-License-Identifier: Apache-2.0
"""`pid serve`: makes the parts, wires them up, and ends everything in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import zmq

from pid_core.plan import DeviceFacts
from pid_daemon import link
from pid_daemon.broker import plans
from pid_daemon.broker.access import Access
from pid_daemon.broker.books import Books
from pid_daemon.broker.clock import Clock
from pid_daemon.broker.costs import CostBook
from pid_daemon.broker.delivery import Deliveries
from pid_daemon.broker.dispatch import Dispatcher
from pid_daemon.broker.intake import Intake
from pid_daemon.broker.jobs import UNFINISHED, Job, State
from pid_daemon.broker.places import Places
from pid_daemon.broker.pool import Pool
from pid_daemon.broker.reports import Reports
from pid_daemon.broker.runtime import AlreadyRunning, Lock
from pid_daemon.broker.sessions import Session, Sessions
from pid_daemon.broker.shelf import Shelf
from pid_daemon.broker.sockets import Sockets
from pid_daemon.broker.spool import Spool
from pid_daemon.broker.submission import Submission
from pid_daemon.config import Config
from pid_daemon.devices import worker_devices
from pid_daemon.logs import LOG_NAME, start_logging
from pid_protocol import PROGRAM_VERSION
from pid_protocol.discovery import default_path
from pid_protocol.errors import Cancelled, ConnectionLost, InternalError, PidError
from pid_protocol.headers import Message
from pid_protocol.messages import Error, Models, Status

log = logging.getLogger(__name__)

HEAD_START_S = 0.25
"""Most that clients wait for the first look into the model folders: what is remembered of them is
known when the first one asks."""
FIRST_LOOK_S = 5.0
"""Most that jobs wait for it."""


def serve(config: Config, *, echo: bool = False) -> int:
    """Run the daemon until it is told to stop.

    Args:
        config: the settings.
        echo: whether the log also goes to standard error.
    Returns:
        Exit status for the process: 0 after an orderly end, 1 when another daemon is there.
    """
    try:
        start_logging(config.log_folder, config.log_level, echo=echo)
        place = config.connection_file or default_path()
        with Lock(place.with_name(place.name + ".lock")), Lock(config.spool_folder / ".lock"):
            asyncio.run(_run(config))
    except AlreadyRunning as error:  # not into the log, which is the other one's
        sys.stderr.write(f"{error}\n")
        return 1
    except (PidError, OSError, zmq.ZMQError) as error:
        log.error("the daemon cannot run: %s", error)
        if not echo:
            sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(config: Config) -> None:
    broker = Broker(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows has no such handlers; there KeyboardInterrupt ends asyncio.run.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, broker.stop)
    await broker.run()


class Broker:
    """All parts of one running daemon."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._began_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._access = Access(config.connection_file)
        self._has_looked = False
        """Whether it is known which weights there are."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._devices = worker_devices(config.device)

        self._sockets = Sockets(self._access.password, self._receive)
        self._places = Places(config, self._access, self._sockets)
        self._sessions = Sessions(self._sockets, self.pump, self._gone)
        self._spool = Spool(config.spool_folder, config.spool_quota_mib << 20)
        self._books = Books(self._spool, self._announce, config.result_expiry_s)
        self._shelf = Shelf(config)
        self._costs = CostBook(config.spool_folder / "costs.json")
        self._intake = Intake(self._spool)
        self._deliveries = Deliveries(self._spool)
        self._reports = Reports(
            self._sessions, self._books, self._deliveries, self._spool, self._costs.learn
        )
        self._pool = Pool(config, self._devices, self._waiting, self._take, self._reports.receive)
        self._clock = Clock(
            self._sessions,
            self._books,
            self._spool,
            self._pool,
            self._places,
            config.idle_exit_s,
            self.stop,
        )
        self._submission = Submission(
            self._sessions, self._books, self._intake, self.settled, self.facts,
            self._pool.warm, self._pool.wake,
        )  # fmt: skip
        self._dispatcher = Dispatcher(
            self._sessions,
            self._books,
            self._deliveries,
            self._submission,
            self,
            self._access.prove,
        )

    def stop(self) -> None:
        """End the daemon in order."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve until `stop`."""
        self._books.recover()
        first_look = self._keep(self._first_look())
        await asyncio.wait({first_look}, timeout=HEAD_START_S)
        self._places.open()
        self._sockets.start()
        log.info("ready: %s, process %d", ", ".join(self._places.endpoints), os.getpid())
        clock = self._loop.create_task(self._clock.run())
        try:
            await self._stopped.wait()
        finally:
            clock.cancel()
            await self._close()

    # --- what requests set in motion (dispatch.Actions) ------------------------------------------

    def cancel(self, job: Job) -> None:
        """Stop a job, wherever it is."""
        if job.state is State.RUNNING and self._pool.cancel(job.id):
            return
        self._intake.drop(job.id)
        self._books.fail(job, Cancelled("The job was cancelled."))

    def pump(self, session: Session) -> None:
        """Send what a connection has leave to get."""
        for name, error in self._deliveries.pump(self._sessions, session):
            if name in self._books:  # else it has expired meanwhile
                self._books.fail_lost_result(self._books.find(name), error)

    def unload(self) -> None:
        """End the workers as soon as they are idle."""
        self._pool.unload()

    def shut_down(self) -> None:
        """End the daemon, and with it every job."""
        for job in self._books:
            if job.state in UNFINISHED:
                self._books.fail(job, Cancelled("The daemon was told to end."))
        self._loop.call_soon(self.stop)

    def status(self) -> Status:
        """What the daemon is doing."""
        paths = {
            "config": str(self._config.config_file or ""),
            "log": str(self._config.log_folder / LOG_NAME),
            "spool": str(self._spool.folder),
            "models": os.pathsep.join(str(folder) for folder in self._shelf.folders()),
        }
        return Status(
            pid=os.getpid(),
            version=PROGRAM_VERSION,
            uptime_s=round(time.monotonic() - self._began_s, 3),
            jobs=self._books.counts(),
            workers=self._pool.rows(),
            spool_bytes=self._spool.used_bytes,
            paths=paths,
        )

    def send_models(self, session: Session, to: int | None) -> None:
        """Answer with every weights file, once the folders were looked through."""

        async def look() -> None:
            try:
                answer: Message = Models(await self._shelf.rows())
            except Exception:
                log.exception("looking for weights failed")
                answer = Error(InternalError.code, "Looking for weights failed.", "See `pid log`.")
            self._sessions.answer(session, answer, to)

        self._keep(look())

    def look_soon(self) -> None:
        """Look for weights again, some time."""
        self._shelf.look_soon()

    def settled(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with what the settings say where a client leaves it open."""
        return self._shelf.settled(options)

    def facts(self, options: Mapping[str, Any]) -> DeviceFacts:
        """What is known of the device now, and of the engine that the options ask for."""
        return plans.facts_of(
            options, self._pool.holdings, self._shelf, self._costs.costs, self._devices
        )

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside; asyncio itself holds tasks only weakly."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- between the parts -----------------------------------------------------------------------

    def _waiting(self) -> int:
        return len(self._books.queue) if self._has_looked else 0

    def _take(self) -> tuple[link.Run, float] | None:
        while self._has_looked and (job := self._books.take()) is not None:
            try:
                return self._order(job), job.expected_s
            except PidError as error:  # its weights are gone since it was accepted
                self._books.fail(job, error)
        return None

    def _order(self, job: Job) -> link.Run:
        options = job.submit.options
        readiness = self._shelf.readiness(options, has_gpu=True)  # the worker knows its own device
        return link.Run(
            job=job.id,
            folder=str(self._spool.path(job.id)),
            kind=job.submit.kind,
            image=job.submit.image,
            options=options,
            region=job.submit.region,
            mask=job.submit.mask,
            keep_alive_s=self._books.keep_alive_s(job, self._config.keep_alive_s),
            readiness={
                "pid": asdict(readiness.pid) if readiness.pid else None,
                "pid_acknowledged": readiness.pid_acknowledged,
            },
            files=self._shelf.files(options),
            costs=self._costs.costs.to_dict(),
        )

    async def _first_look(self) -> None:
        """Find the weights; jobs wait for it, but not for a disk that takes its time."""
        try:
            await asyncio.wait_for(self._shelf.rows(), FIRST_LOOK_S)
        except TimeoutError:
            log.warning("looking for weights takes its time; jobs begin without them")
        except Exception:
            log.exception("looking for weights failed")
        self._has_looked = True
        self._pool.wake()

    def _announce(self, job: Job, message: Message) -> bool:
        was_told = False
        for route in tuple(job.followers):
            session = self._sessions.get(route)
            if session:
                self._sessions.tell(session, message)
                was_told |= not session.is_gone
        if isinstance(message, Error):
            job.followers.clear()
        return was_told

    def _receive(self, route: bytes, frames: Sequence[zmq.Frame]) -> None:
        self._dispatcher.receive(route, frames)

    def _gone(self, session: Session) -> None:
        if session.client:
            log.info("%s closed its connection", session.client)
        self._deliveries.drop(session.route)
        for job in self._books.detach_from(session.route):
            log.info("job %s is dropped with its connection", job.id)
            self.cancel(job)

    async def _close(self) -> None:
        """Report what is under way, keep what was submitted detached for the next start, end the
        workers."""
        log.info("ending")
        self._places.close()
        for job in self._books:
            if job.state is State.RECEIVING or (
                job.state in UNFINISHED and not job.submit.detached
            ):
                self._books.fail(job, ConnectionLost("The daemon was stopped.", "Submit it again."))
        self._reports.close()
        await self._pool.close()
        self._sockets.close()
        log.info("ended")
