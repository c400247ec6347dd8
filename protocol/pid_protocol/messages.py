# SPDX-License-Identifier: Apache-2.0
"""The messages: one frozen dataclass each, with a `type` on the wire.

A message on the wire is `[header][blob]…`: the header is one msgpack map with `type`, the fields,
and in requests `id` (the client's number, repeated as `re` by the answer).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from .headers import Message
from .pixels import PixelFormat, Region

# --- requests: client to daemon ------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """First message of a connection. Answer: `welcome`, or `error` and no further service."""

    type: ClassVar[str] = "hello"
    protocol: int
    """PROTOCOL_VERSION of the client."""
    client: str
    """`gimp`, `krita`, `cli`, …: shown in `pid status`."""
    version: str
    """PROGRAM_VERSION of the client."""
    challenge: bytes
    """16 random bytes that the daemon has to prove itself with."""


@dataclass(frozen=True)
class GetStatus(Message):
    """What the daemon is doing. Answer: `status`."""

    type: ClassVar[str] = "get-status"


@dataclass(frozen=True)
class Submit(Message):
    """A new job. Blob 1: the ICC profile when `image.profile` is `icc`.

    Answer: `credit`, then the client sends the pixels (and after them the mask) as `band`s;
    `queued` says that
    everything has arrived, is on disk and will be delivered or reported.
    """

    type: ClassVar[str] = "submit"
    job: str
    """32 hexadecimal digits, chosen by the client: a repeated submit of a known job is refused."""
    kind: str
    """`upscale` or `enhance`; the options table says which rows each one has."""
    image: PixelFormat
    """The picture that follows."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Rows of the options table that differ from their defaults."""
    region: Region | None = None
    """Part of the picture that is answered; the rest is context. None = all of it."""
    mask: bool = False
    """Whether width x height bytes of coverage (0 to 255) follow the pixels; the answer then
    carries alpha."""
    detached: bool = False
    """Keep working when this connection closes."""
    priority: str = "interactive"
    """`interactive` goes before `batch`."""
    title: str = ""
    """What people see in job lists: a layer's or a file's name."""
    keep_alive_s: float | None = None
    """Seconds the models stay loaded after this job; 0 = unload at once, -1 = keep, None = as
    configured."""


@dataclass(frozen=True)
class Band(Message):
    """A run of bytes of a picture, in order. Blob 1: the bytes. Both directions."""

    type: ClassVar[str] = "band"
    job: str
    """The job that the bytes belong to."""
    offset: int
    """Where they start, in bytes from the start of the pixels."""


@dataclass(frozen=True)
class Credit(Message):
    """Leave to send that many more bands of a job. Both directions."""

    type: ClassVar[str] = "credit"
    job: str
    """The job that is meant."""
    bands: int
    """How many more may be sent."""


@dataclass(frozen=True)
class Cancel(Message):
    """Stop a job, wherever it is. Answer: `ok`; the job itself ends with `error` `cancelled`."""

    type: ClassVar[str] = "cancel"
    job: str
    """The job to stop."""


@dataclass(frozen=True)
class Fetch(Message):
    """Follow a job that another connection submitted, or send a finished result again.

    Answer: `ok`, then the job's events; a finished job's `result` comes at once.
    """

    type: ClassVar[str] = "fetch"
    job: str
    """The job to follow."""


@dataclass(frozen=True)
class Forget(Message):
    """The client has the result, or no longer wants it: its disk space is given back. Answer:
    `ok`."""

    type: ClassVar[str] = "forget"
    job: str
    """The job to forget."""


@dataclass(frozen=True)
class GetJobs(Message):
    """All jobs that are kept. Answer: `jobs`."""

    type: ClassVar[str] = "get-jobs"


@dataclass(frozen=True)
class GetPlan(Message):
    """What a job would do: size, tiles, time, memory. No work is done. Answer: `plan`."""

    type: ClassVar[str] = "get-plan"
    kind: str
    """As in `submit`."""
    image: PixelFormat
    """The picture's size and samples."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """As in `submit`."""
    region: Region | None = None
    """As in `submit`."""


@dataclass(frozen=True)
class GetModels(Message):
    """Every weights file that was found and what it is good for. Answer: `models`."""

    type: ClassVar[str] = "get-models"


@dataclass(frozen=True)
class AcceptLicence(Message):
    """A person accepts a licence; remembered for all clients of this user. Answer: `ok`."""

    type: ClassVar[str] = "accept-licence"
    licence: str
    """Its name, as in pid_protocol.licences."""


@dataclass(frozen=True)
class Unload(Message):
    """End the workers as soon as they are idle, and with them all memory they hold. Answer:
    `ok`."""

    type: ClassVar[str] = "unload"


@dataclass(frozen=True)
class Shutdown(Message):
    """End the daemon. Answer: `ok`, or `error` when jobs are under way and `force` is false."""

    type: ClassVar[str] = "shutdown"
    force: bool = False
    """Cancel what is under way."""


# --- answers and events: daemon to client --------------------------------------------------------


@dataclass(frozen=True)
class Welcome(Message):
    """Answer to `hello`."""

    type: ClassVar[str] = "welcome"
    protocol: int
    """PROTOCOL_VERSION of the daemon."""
    version: str
    """PROGRAM_VERSION of the daemon."""
    proof: bytes
    """HMAC-SHA-256 of the challenge under the token: only the owner of the connection file can make
    it."""


@dataclass(frozen=True)
class Status(Message):
    """Answer to `get-status`."""

    type: ClassVar[str] = "status"
    pid: int
    """Process id of the broker."""
    version: str
    """PROGRAM_VERSION of the daemon."""
    uptime_s: float
    """Seconds since it was ready."""
    jobs: dict[str, int]
    """Number of jobs by state."""
    workers: list[dict[str, Any]]
    """For each: device, state, pid, engine, resident_bytes, expires_s."""
    spool_bytes: int
    """Disk space in use for pictures under way and results."""
    paths: dict[str, str]
    """Places on this machine: config, log, spool, models."""


@dataclass(frozen=True)
class Ok(Message):
    """The request was carried out."""

    type: ClassVar[str] = "ok"


@dataclass(frozen=True)
class Queued(Message):
    """The job is accepted, and where it stands. Sent again when the position changes."""

    type: ClassVar[str] = "queued"
    job: str
    """The job."""
    position: int
    """1 = next; 0 = its worker is starting on it."""


@dataclass(frozen=True)
class Progress(Message):
    """How far a running job is."""

    type: ClassVar[str] = "progress"
    job: str
    """The job."""
    stage: str
    """`loading`, `encode`, `tile`, `step`, `decode` or `finish`."""
    fraction: float
    """Part of the whole job that is done, in [0, 1]; never falls, unless the job starts over."""
    index: int = 0
    """1-based count inside the stage; 0 when there is nothing to count."""
    total: int = 0
    """How many there will be."""
    eta_s: float | None = None
    """Seconds until the result; None = not known yet."""


@dataclass(frozen=True)
class Preview(Message):
    """A small picture of the state so far. Blob 1: RGB, 8 bits, width x height x 3 bytes. May be
    dropped."""

    type: ClassVar[str] = "preview"
    job: str
    """The job."""
    width: int
    """Pixels in a row."""
    height: int
    """Rows."""


@dataclass(frozen=True)
class Result(Message):
    """The job is done. Blob 1: the ICC profile when `image.profile` is `icc`. The client grants
    credit, bands follow."""

    type: ClassVar[str] = "result"
    job: str
    """The job."""
    image: PixelFormat
    """The picture that follows."""
    record: dict[str, Any]
    """Engine, weights, licence, settings, plan, measured colour difference, notices, seconds."""


@dataclass(frozen=True)
class Jobs(Message):
    """Answer to `get-jobs`."""

    type: ClassVar[str] = "jobs"
    jobs: list[dict[str, Any]]
    """For each: job, title, kind, state, client, submitted_s (Unix time), width, height, position,
    error."""


@dataclass(frozen=True)
class Plan(Message):
    """Answer to `get-plan`."""

    type: ClassVar[str] = "plan"
    width: int
    """Width of the result in pixels."""
    height: int
    """Height of the result in pixels."""
    engine: str
    """The engine that `auto` would take."""
    tiles: int
    """Number of tiles."""
    expected_s: float
    """Seconds, models loaded."""
    expected_bytes: int
    """Peak memory on the device, weights included."""
    free_bytes: int
    """Memory that the device has for it now, loaded weights included."""
    notices: list[str] = field(default_factory=list[str])
    """Sentences that a person should read before the run."""


@dataclass(frozen=True)
class Models(Message):
    """Answer to `get-models`."""

    type: ClassVar[str] = "models"
    models: list[dict[str, Any]]
    """For each file: id, path, kind, state (ready, refused, unrelated), layout, family,
    family_from, version, variant, is_distilled, size_bytes, licence, problem, hint, goes_with
    (ids), lacks (words), is_default."""


@dataclass(frozen=True)
class Error(Message):
    """A request was refused, or a job ended without a result."""

    type: ClassVar[str] = "error"
    code: str
    """One of the codes of pid_protocol.errors."""
    message: str
    """What happened, one sentence."""
    hint: str = ""
    """What to do next, one sentence or empty."""
    job: str | None = None
    """The job that ended; None when only the request was refused."""


REQUESTS: tuple[type[Message], ...] = (
    Hello, GetStatus, Submit, Band, Credit, Cancel, Fetch, Forget, GetJobs, GetPlan, GetModels,
    AcceptLicence, Unload, Shutdown,
)  # fmt: skip
"""What a client may send."""
EVENTS: tuple[type[Message], ...] = (
    Welcome, Status, Ok, Queued, Progress, Preview, Result, Band, Credit, Jobs, Plan, Models, Error,
)  # fmt: skip
"""What the daemon may send."""
