# SPDX-License-Identifier: Apache-2.0
"""What the broker knows of a job, and the form in which the spool keeps it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from pid_protocol.errors import PidError, RemoteProtocolError, from_wire
from pid_protocol.headers import from_header, to_header
from pid_protocol.messages import Progress, Submit
from pid_protocol.pixels import PixelFormat


class State(enum.Enum):
    """Where a job stands. Everything from QUEUED on is accepted and survives the broker."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


UNFINISHED = (State.RECEIVING, State.QUEUED, State.RUNNING)
ENDED = (State.DONE, State.FAILED)


@dataclass
class Job:
    """One job; only the broker's event loop touches it."""

    submit: Submit
    """What was asked for, checked; `options` has every row."""
    client: str
    """Name from `hello`, for people."""
    owner: bytes
    """Routing id of the connection that submitted it, which the queue is fair between; empty after
    a restart."""
    submitted_s: float
    """Unix time."""
    input_bytes: int
    """Pixels and mask."""
    reserved_bytes: int
    """Disk space that it counts for: what came and what is expected."""
    expected_s: float = 0.0
    """Seconds that the work should take; 0 = not known."""
    state: State = State.RECEIVING
    attempts: int = 0
    """Times that a worker was given it."""
    ended_s: float = 0.0
    """Unix time of the end."""
    image: PixelFormat | None = None
    """The result's format."""
    record: dict[str, Any] = field(default_factory=dict[str, Any])
    """The result's record."""
    error: PidError | None = None
    """Why there is no result."""
    reported: bool = False
    """Whether a client was told of the end."""
    followers: set[bytes] = field(default_factory=set[bytes])
    """Connections that get the events."""
    progress: Progress | None = None
    """The latest, repeated to a connection that comes later."""
    position: int = -1
    """Last position that was told; -1 = none yet."""

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return self.submit.job

    def to_book(self) -> dict[str, Any]:
        """What job.json holds."""
        return {
            "submit": to_header(self.submit),
            "client": self.client,
            "submitted_s": self.submitted_s,
            "input_bytes": self.input_bytes,
            "reserved_bytes": self.reserved_bytes,
            "expected_s": self.expected_s,
            "state": self.state.value,
            "attempts": self.attempts,
            "ended_s": self.ended_s,
            "image": vars(self.image) if self.image else None,
            "record": self.record,
            "error": [self.error.code, self.error.message, self.error.hint] if self.error else None,
            "reported": self.reported,
        }

    @classmethod
    def from_book(cls, book: dict[str, Any]) -> Job:
        """Rebuild a job from job.json.

        Raises:
            RemoteProtocolError, KeyError, TypeError, ValueError: it is not such a book.
        """
        submit = from_header(book["submit"], (Submit,))
        if not isinstance(submit, Submit):
            raise RemoteProtocolError("job.json does not hold a submit.")
        return cls(
            submit=submit,
            client=str(book["client"]),
            owner=b"",
            submitted_s=float(book["submitted_s"]),
            input_bytes=int(book["input_bytes"]),
            reserved_bytes=int(book["reserved_bytes"]),
            expected_s=float(book["expected_s"]),
            state=State(book["state"]),
            attempts=int(book["attempts"]),
            ended_s=float(book["ended_s"]),
            image=PixelFormat(**book["image"]) if book["image"] else None,
            record=dict(book["record"]),
            error=from_wire(*book["error"]) if book["error"] else None,
            reported=bool(book["reported"]),
        )

    def to_row(self, position: int) -> dict[str, Any]:
        """One entry of `jobs`."""
        return {
            "job": self.id,
            "title": self.submit.title,
            "kind": self.submit.kind,
            "state": self.state.value,
            "client": self.client,
            "submitted_s": self.submitted_s,
            "width": self.submit.image.width,
            "height": self.submit.image.height,
            "position": position,
            "error": self.error.message if self.error else "",
        }
