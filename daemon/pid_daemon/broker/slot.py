# SPDX-License-Identifier: Apache-2.0
"""What the pool knows of one device: its worker's life, and the job in its hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pid_daemon import link
from pid_daemon.broker.worker_process import Life, WorkerProcess

FOREVER = float("inf")


@dataclass
class Assignment:
    """A job in a worker's hands."""

    order: link.Run
    expected_s: float
    """Seconds that the work should take; 0 = not known."""
    stage: str = "start"
    """What the worker last said it does."""
    deadline_s: float = FOREVER
    """Loop time at which the worker counts as hung."""
    is_stopping: bool = False
    """Whether it was cancelled."""


@dataclass
class Slot:
    """One device and its worker."""

    device: str
    life: Life = Life.OFF
    process: WorkerProcess | None = None
    work: Assignment | None = None
    holding: link.Holding | None = None
    """What the worker said it holds."""
    keep_alive_s: float = 0.0
    """As the last job, or the settings, wish."""
    deadline_s: float = FOREVER
    """Loop time at which a starting or leaving worker is killed, or an idle one leaves."""
    vain_starts: int = 0
    """Workers in a row that ended without having finished a job."""
    not_before_s: float = 0.0
    """Loop time before which no new worker is started."""
    wants_restart: bool = False
    """Whether the last one ended unasked."""

    def to_row(self, now_s: float) -> dict[str, Any]:
        """The worker's entry in `status`, at a loop time."""
        waits = self.life is Life.IDLE and self.deadline_s != FOREVER
        engines = self.holding.engines if self.holding else []
        return {
            "device": self.holding.device if self.holding else self.device,
            "state": self.life.value,
            "pid": self.process.pid if self.process else 0,
            "engine": ", ".join(str(engine["engine"]) for engine in engines),
            "resident_bytes": self.holding.resident_bytes if self.holding else 0,
            "expires_s": round(self.deadline_s - now_s, 1) if waits else -1.0,
        }
