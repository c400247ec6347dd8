# SPDX-License-Identifier: Apache-2.0
"""What the broker and a worker say to each other over the worker's standard input and output.

A frame is a 4-byte little-endian length and one msgpack header, shaped and checked like the
messages of `pid_protocol`. Pixels never travel here: both sides see the job's folder in the spool.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pid_daemon.wire import pack_header, unpack_header
from pid_protocol.errors import RemoteProtocolError
from pid_protocol.headers import Message, from_header, to_header
from pid_protocol.pixels import PixelFormat, Region

LENGTH = struct.Struct("<I")
MAX_FRAME_BYTES = 1 << 20

INPUT_FILE = "input"
"""Pixels and, after them, width x height bytes of the mask when there is one."""
OUTPUT_FILE = "output"
"""Pixels of the result; complete when the worker says `done`."""
PROFILE_FILE = "profile.icc"
"""The ICC profile that came with the picture."""


@dataclass(frozen=True)
class Run(Message):
    """Broker to worker: do this job."""

    type: ClassVar[str] = "run"
    job: str
    """Identifier, for the events."""
    folder: str
    """The job's folder in the spool."""
    kind: str
    """As in `submit`."""
    image: PixelFormat
    """The picture in INPUT_FILE."""
    options: dict[str, Any]
    """Checked and complete rows of the options table."""
    region: Region | None = None
    """As in `submit`."""
    mask: bool = False
    """Whether the mask follows the pixels."""
    keep_alive_s: float = 300.0
    """Seconds the models stay after this job."""
    readiness: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the broker knows of PiD: `pid`, the fields of `PidFacts`, and `pid_acknowledged`."""
    files: dict[str, Any] = field(default_factory=dict[str, Any])
    """PiD's files, chosen by the broker: weights, vae, text_encoder, cache_folder, and declared:
    what the broker found the weights to be. Empty = none."""
    costs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Coefficients that differ from the defaults."""


@dataclass(frozen=True)
class Stop(Message):
    """Broker to worker: stop this job at the next block, tile or step."""

    type: ClassVar[str] = "stop"
    job: str
    """The job that is meant; any other is left alone."""


@dataclass(frozen=True)
class Quit(Message):
    """Broker to worker: end."""

    type: ClassVar[str] = "quit"


@dataclass(frozen=True)
class Ready(Message):
    """Worker to broker: the first message."""

    type: ClassVar[str] = "ready"
    pid: int
    """The worker's process."""


@dataclass(frozen=True)
class Doing(Message):
    """Worker to broker: how far the job is; also the sign of life that the stage limits watch."""

    type: ClassVar[str] = "doing"
    job: str
    stage: str
    fraction: float
    index: int = 0
    total: int = 0


@dataclass(frozen=True)
class Shown(Message):
    """Worker to broker: a small picture of the state so far."""

    type: ClassVar[str] = "shown"
    job: str
    width: int
    height: int
    pixels: bytes
    """width x height x 3 bytes, RGB."""


@dataclass(frozen=True)
class Done(Message):
    """Worker to broker: the result is in OUTPUT_FILE."""

    type: ClassVar[str] = "done"
    job: str
    image: PixelFormat
    record: dict[str, Any]


@dataclass(frozen=True)
class Failed(Message):
    """Worker to broker: the job ended without a result."""

    type: ClassVar[str] = "failed"
    job: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Holding(Message):
    """Worker to broker: what it holds now; sent after every job and load."""

    type: ClassVar[str] = "holding"
    device: str
    """As torch names it."""
    engines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """For each: engine, weights, resident_bytes."""
    resident_bytes: int = 0
    """Memory of the loaded weights."""
    free_bytes: int = 0
    """Memory that the device still has."""
    total_bytes: int = 0
    """Memory of the device."""
    dtype: str = ""
    """Arithmetic that is fastest there."""


ORDERS: tuple[type[Message], ...] = (Run, Stop, Quit)
"""What a worker takes."""
REPORTS: tuple[type[Message], ...] = (Ready, Doing, Shown, Done, Failed, Holding)
"""What a broker takes."""


def to_frame(message: Message) -> bytes:
    """Encode one message with its length in front."""
    body = pack_header(to_header(message))
    return LENGTH.pack(len(body)) + body


def frame_length(prefix: bytes) -> int:
    """Read the length in front of a frame.

    Raises:
        RemoteProtocolError: longer than any frame of ours.
    """
    (length,) = LENGTH.unpack(prefix)
    if length > MAX_FRAME_BYTES:
        raise RemoteProtocolError(f"A frame of the worker link has {length} bytes.")
    return length


def from_frame(body: bytes, allowed: tuple[type[Message], ...]) -> Message:
    """Decode one frame's body."""
    return from_header(unpack_header(body), allowed)
