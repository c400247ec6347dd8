# SPDX-License-Identifier: Apache-2.0
"""Every error that a person can meet, each with a stable wire code.

    PidError
    ├── ConnectError
    │   ├── DaemonNotRunning     daemon_not_running
    │   ├── VersionMismatch      version_mismatch
    │   ├── BadToken             bad_token
    │   └── ConnectionLost       connection_lost
    ├── ProtocolError
    │   ├── LocalProtocolError   local_protocol_error    we broke the rules
    │   └── RemoteProtocolError  remote_protocol_error   the other side did
    └── JobError
        ├── InvalidRequest       invalid_request
        ├── InvalidImage         invalid_image
        ├── UnknownJob           unknown_job
        ├── QueueFull            queue_full
        ├── SpoolFull            spool_full
        ├── UnknownBackbone      unknown_backbone
        ├── CheckpointMissing    checkpoint_missing
        ├── CheckpointMismatch   checkpoint_mismatch
        ├── LicenceNotAccepted   licence_not_accepted
        ├── OutOfMemory          out_of_memory
        ├── WorkerDied           worker_died
        ├── TimedOut             timed_out
        ├── Cancelled            cancelled               a normal outcome
        └── InternalError        internal_error

A code is never renamed. `message` says what happened with the values that disagree, `hint` what to
do next.
"""

from __future__ import annotations

from typing import ClassVar


class PidError(Exception):
    """Base of all errors of the product.

    Args:
        message: what happened, one sentence, with the values that disagree.
        hint: what to do next, one sentence; empty when there is nothing to do.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConnectError(PidError):
    """No usable connection to a daemon."""

    code = "connect_error"


class DaemonNotRunning(ConnectError):
    """Nothing answers at the place that the connection file names, or there is no such file."""

    code = "daemon_not_running"


class VersionMismatch(ConnectError):
    """The two sides speak different protocol versions."""

    code = "version_mismatch"


class BadToken(ConnectError):
    """One side could not prove that it knows the token of the connection file."""

    code = "bad_token"


class ConnectionLost(ConnectError):
    """The connection ended while something was under way."""

    code = "connection_lost"


class ProtocolError(PidError):
    """Bytes or messages that the protocol does not allow."""

    code = "protocol_error"


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol: a defect of ours."""

    code = "local_protocol_error"


class RemoteProtocolError(ProtocolError):
    """The other side broke the protocol."""

    code = "remote_protocol_error"


class JobError(PidError):
    """A request or a job that could not be carried out."""

    code = "job_error"


class InvalidRequest(JobError):
    """A field or an option has a value that is not allowed."""

    code = "invalid_request"


class InvalidImage(JobError):
    """The picture cannot be used as it is."""

    code = "invalid_image"


class UnknownJob(JobError):
    """No job of that name is kept."""

    code = "unknown_job"


class QueueFull(JobError):
    """This client has as many jobs waiting as it may."""

    code = "queue_full"


class SpoolFull(JobError):
    """The disk space for pictures under way is used up."""

    code = "spool_full"


class UnknownBackbone(JobError):
    """The weights do not say which latent family they belong to."""

    code = "unknown_backbone"


class CheckpointMissing(JobError):
    """Weights that the job needs are not on this machine."""

    code = "checkpoint_missing"


class CheckpointMismatch(JobError):
    """A weights file is not what it was taken for."""

    code = "checkpoint_mismatch"


class LicenceNotAccepted(JobError):
    """The weights' licence has to be acknowledged once."""

    code = "licence_not_accepted"


class OutOfMemory(JobError):
    """The work does not fit into memory."""

    code = "out_of_memory"


class WorkerDied(JobError):
    """The worker process ended while it did this job."""

    code = "worker_died"


class TimedOut(JobError):
    """A stage took longer than its limit."""

    code = "timed_out"


class Cancelled(JobError):
    """The job was cancelled; a normal outcome."""

    code = "cancelled"


class InternalError(JobError):
    """A defect of the daemon; its log has the traceback."""

    code = "internal_error"


def _leaves(cls: type[PidError]) -> list[type[PidError]]:
    found = [cls]
    for sub in cls.__subclasses__():
        found += _leaves(sub)
    return found


ERRORS_BY_CODE: dict[str, type[PidError]] = {cls.code: cls for cls in _leaves(PidError)}
"""Every class by its wire code."""


def from_wire(code: str, message: str, hint: str = "") -> PidError:
    """Build the error that a wire code stands for; an unknown code becomes an InternalError that
    names it."""
    cls = ERRORS_BY_CODE.get(code)
    if cls is None:
        return InternalError(f"{message} (unknown error code {code!r})", hint)
    return cls(message, hint)
