# SPDX-License-Identifier: Apache-2.0
"""The thread that speaks for a window, and the question about a licence."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pid_client import licence
from pid_client.background import Background
from pid_client.session import Session
from pid_protocol.errors import DaemonNotRunning, LicenceNotAccepted, OutOfMemory, PidError
from pid_protocol.messages import GetJobs, Jobs
from tests.protocol.broker import Broker, Header


class Window:
    """Carries out what is delivered when the test lets it."""

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.shown: list[Any] = []
        self.num_connected = 0
        self.background = Background(self._connect, self._calls.put)

    def _connect(self) -> Session:
        if self._broker is None:
            raise DaemonNotRunning("No daemon is running.", "Start it.")
        self.num_connected += 1
        return Session.connect(client="window", connection_file=self._broker.place)

    @property
    def has_turn(self) -> bool:
        """Whether something was delivered."""
        return not self._calls.empty()

    def turn(self) -> None:
        """One turn of the window's loop."""
        self._calls.get(timeout=5)()

    def close(self) -> None:
        session = self.background.close()
        if session is not None:
            session.close()


def ask_jobs(session: Session) -> Iterator[Any]:
    yield session.request(GetJobs())


def test_work_is_done_elsewhere_and_shown_here(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        window = Window(broker)
        where: list[threading.Thread] = []

        def work(session: Session) -> Iterator[Any]:
            where.append(threading.current_thread())
            yield 1
            yield 2

        window.background.ask("a", work, window.shown.append)
        window.turn()
        window.turn()
        assert window.shown == [1, 2]
        assert where[0] is not threading.current_thread()
        window.background.ask("a", ask_jobs, window.shown.append)
        window.turn()
        assert window.shown[-1] == Jobs([]) and window.num_connected == 1
        window.close()


def test_of_what_waits_only_the_newest_of_a_kind_is_done(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        window = Window(broker)
        gate = threading.Event()

        def hold(session: Session) -> Iterator[Any]:
            yield "begun"
            gate.wait(5)

        window.background.ask("a", hold, window.shown.append)
        window.turn()
        for number in range(5):
            window.background.ask("plan", lambda _, n=number: iter([n]), window.shown.append)
        window.background.ask("other", lambda _: iter(["o"]), window.shown.append)
        gate.set()
        window.turn()
        window.turn()
        assert window.shown == ["begun", 4, "o"]
        window.close()


def test_errors_are_shown_and_a_lost_connection_is_made_again(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        window = Window(broker)
        lost: list[Session] = []

        def lose(session: Session) -> Iterator[Any]:
            session.close()
            lost.append(session)
            yield session.request(GetJobs())

        window.background.ask("a", lose, window.shown.append)
        window.turn()
        assert isinstance(window.shown[0], PidError) and lost[0].is_lost
        window.background.ask("a", ask_jobs, window.shown.append)
        window.turn()
        assert window.shown[1] == Jobs([]) and window.num_connected == 2
        window.close()


def test_a_missing_daemon_is_shown_as_often_as_it_is_missed() -> None:
    window = Window(None)
    for _ in range(2):
        window.background.ask("a", ask_jobs, window.shown.append)
        window.turn()
    assert [type(error) for error in window.shown] == [DaemonNotRunning] * 2
    window.close()


def test_nothing_is_shown_in_a_window_that_closes(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        window = Window(broker)
        begun = threading.Event()

        def work(session: Session) -> Iterator[Any]:
            begun.set()
            yield 1

        window.background.ask("a", work, window.shown.append)
        assert begun.wait(5)
        window.close()
        if window.has_turn:
            window.turn()
        assert window.shown == []


def test_a_licence_is_asked_for_in_words_and_accepted(tmp_path: Path) -> None:
    def accepted(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send({"type": "ok", "re": header["id"]})

    question = licence.question_about(LicenceNotAccepted("Not yet."))
    assert question is not None and licence.question_about(OutOfMemory("No.")) is None
    assert question.licence.title in question.text and question.licence.terms in question.text
    assert question.title and question.yes != question.no
    with Broker(tmp_path, answers={"accept-licence": accepted}) as broker:
        with Session.connect(client="test", connection_file=broker.place) as session:
            licence.accept(session, question.licence)
        assert broker.of_type("accept-licence")[0]["licence"] == question.licence.name


def test_a_licence_that_cannot_be_stored_is_told(tmp_path: Path) -> None:
    def refuse(broker: Broker, header: Header, _: list[bytes]) -> None:
        error = {"type": "error", "code": "invalid_request", "message": "No such licence."}
        broker.send({**error, "re": header["id"]})

    question = licence.question_about(LicenceNotAccepted("Not yet."))
    assert question is not None
    with Broker(tmp_path, answers={"accept-licence": refuse}) as broker:
        with Session.connect(client="test", connection_file=broker.place) as session:
            with pytest.raises(PidError, match="No such licence"):
                licence.accept(session, question.licence)
