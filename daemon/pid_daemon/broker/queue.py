# SPDX-License-Identifier: Apache-2.0
"""Who is next: interactive before batch, and within each the clients in turn. Pure policy, no
clock, no sockets."""

from __future__ import annotations

from collections import deque

PRIORITIES = ("interactive", "batch")
"""In the order in which they are served."""


class FairQueue:
    """Jobs that wait, by identifier. Each client's jobs keep their order; clients take turns."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, deque[str]]] = {name: {} for name in PRIORITIES}
        """priority -> client -> its jobs; the first client is the next one to be served."""
        self._places: dict[str, tuple[str, str]] = {}
        """job -> (priority, client)."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, job: str) -> bool:
        return job in self._places

    def add(self, job: str, client: str, priority: str) -> None:
        """Let a job wait behind its client's others."""
        self._waiting[priority].setdefault(client, deque()).append(job)
        self._places[job] = (priority, client)

    def put_back(self, job: str, client: str, priority: str) -> None:
        """Let a job that was already taken go first again."""
        clients = self._waiting[priority]
        own = clients.pop(client, deque())
        own.appendleft(job)
        self._waiting[priority] = {client: own, **clients}
        self._places[job] = (priority, client)

    def remove(self, job: str) -> bool:
        """Take a job out of the line; False when it is not in it."""
        place = self._places.pop(job, None)
        if place is None:
            return False
        priority, client = place
        jobs = self._waiting[priority][client]
        jobs.remove(job)
        if not jobs:
            del self._waiting[priority][client]
        return True

    def take(self) -> str | None:
        """Remove and return the next job; its client goes to the end of the round."""
        for priority in PRIORITIES:
            clients = self._waiting[priority]
            if clients:
                client = next(iter(clients))
                jobs = clients.pop(client)
                job = jobs.popleft()
                if jobs:
                    clients[client] = jobs
                del self._places[job]
                return job
        return None

    def order(self) -> list[str]:
        """All jobs in the order in which they would be taken."""
        ordered: list[str] = []
        for priority in PRIORITIES:
            lines = [list(jobs) for jobs in self._waiting[priority].values()]
            for turn in range(max(map(len, lines), default=0)):
                ordered += [line[turn] for line in lines if turn < len(line)]
        return ordered
