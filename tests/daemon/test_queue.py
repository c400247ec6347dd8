# SPDX-License-Identifier: Apache-2.0
"""Who is next, as a table of cases."""

from __future__ import annotations

import pytest

from pid_daemon.broker.queue import FairQueue

Waiting = tuple[str, str, str]
NOW, LATER = "interactive", "batch"

CASES: list[tuple[str, list[Waiting], str]] = [
    ("nobody waits", [], ""),
    (
        "one client's jobs keep their order",
        [("1", "a", NOW), ("2", "a", NOW), ("3", "a", NOW)],
        "123",
    ),
    (
        "interactive goes before batch",
        [("1", "a", LATER), ("2", "b", NOW), ("3", "a", LATER)],
        "213",
    ),
    ("also within one client", [("1", "a", LATER), ("2", "a", NOW)], "21"),
    (
        "clients take turns",
        [("1", "a", NOW), ("2", "a", NOW), ("3", "a", NOW), ("4", "b", NOW), ("5", "c", NOW)],
        "14523",
    ),
    (
        "a folder run does not starve another one",
        [
            ("1", "a", LATER),
            ("2", "a", LATER),
            ("3", "a", LATER),
            ("4", "b", LATER),
            ("5", "b", LATER),
        ],
        "14253",
    ),
]


@pytest.mark.parametrize(("waiting", "order"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_order(waiting: list[Waiting], order: str) -> None:
    queue = FairQueue()
    for job in waiting:
        queue.add(*job)
    assert "".join(queue.order()) == order
    assert len(queue) == len(waiting)
    assert "".join(iter(queue.take, None)) == order  # type: ignore[arg-type]
    assert len(queue) == 0


def test_a_client_that_was_served_goes_behind_those_that_wait() -> None:
    queue = FairQueue()
    for job in ("1", "2"):
        queue.add(job, "a", NOW)
    assert queue.take() == "1"
    queue.add("3", "b", NOW)
    queue.add("4", "c", NOW)
    assert queue.order() == ["2", "3", "4"]


def test_removing() -> None:
    queue = FairQueue()
    for job in ("1", "2", "3"):
        queue.add(job, "a", NOW)
    assert queue.remove("2")
    assert not queue.remove("2")
    assert "2" not in queue and "3" in queue
    assert queue.order() == ["1", "3"]
    assert queue.remove("1") and queue.remove("3")
    assert queue.take() is None
