# SPDX-License-Identifier: Apache-2.0
"""What a client asks for, and what it hears of a job."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pid_protocol.errors import InvalidImage
from pid_protocol.limits import MAX_ICC_BYTES
from pid_protocol.messages import Progress, Queued, Submit
from pid_protocol.pixels import PixelFormat, Region

from .options import changed

INTERACTIVE, BATCH = "interactive", "batch"


@dataclass(frozen=True)
class JobSpec:
    """A job before it is sent."""

    kind: str
    """`upscale` or `enhance`."""
    image: PixelFormat
    """The picture's size and samples."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values of the options table's rows; rows that are left out have their defaults."""
    icc: bytes | None = None
    """The profile's bytes when `image.profile` is `icc`."""
    region: Region | None = None
    """Part of the picture that is answered; None = all of it."""
    mask: bytes | bytearray | memoryview | None = None
    """width x height bytes of coverage, 0 to 255."""
    title: str = ""
    """What people see in job lists."""
    priority: str = INTERACTIVE
    """INTERACTIVE or BATCH."""
    detached: bool = False
    """Keep working when the connection closes."""
    keep_alive_s: float | None = None
    """Seconds the models stay loaded afterwards; None = as the daemon is configured."""
    job: str = field(default_factory=lambda: uuid.uuid4().hex)
    """The job's name."""

    def submit(self) -> Submit:
        """The message, checked.

        Raises:
            InvalidRequest: an option is not allowed.
            InvalidImage: the format, the profile or the mask does not fit.
        """
        self.image.check()
        if (self.icc is not None) != (self.image.profile == "icc"):
            raise InvalidImage(
                f"The profile is {self.image.profile!r}, "
                f"and {'an' if self.icc is not None else 'no'} ICC profile is given."
            )
        if self.icc is not None and len(self.icc) > MAX_ICC_BYTES:
            raise InvalidImage(
                f"The ICC profile has {len(self.icc)} bytes; at most {MAX_ICC_BYTES} are taken.",
                "Convert the picture to another profile.",
            )
        if self.mask is not None and len(self.mask) != self.image.width * self.image.height:
            raise InvalidImage(
                f"The mask has {len(self.mask)} bytes; "
                f"{self.image.width} x {self.image.height} px need one byte each."
            )
        return Submit(
            job=self.job,
            kind=self.kind,
            image=self.image,
            options=changed(self.kind, self.options),
            region=self.region,
            mask=self.mask is not None,
            detached=self.detached,
            priority=self.priority,
            title=self.title.encode("utf-8", "replace").decode(),  # file names may be anything
            keep_alive_s=self.keep_alive_s,
        )


@dataclass(frozen=True)
class PreviewImage:
    """A small picture of the state so far."""

    width: int
    """Pixels in a row."""
    height: int
    """Rows."""
    pixels: bytes
    """RGB, 8 bits."""


@dataclass(frozen=True)
class Receiving:
    """The result is on its way."""

    fraction: float
    """Part of its bytes that is here, in [0, 1]."""


@dataclass(frozen=True)
class Finished:
    """The whole result."""

    image: PixelFormat
    """Size and samples."""
    pixels: bytearray
    """`image.num_bytes` bytes."""
    icc: bytes | None
    """The profile when `image.profile` is `icc`."""
    record: dict[str, Any]
    """Engine, weights, licence, settings, plan, measurements, notices."""


JobEvent = Queued | Progress | PreviewImage | Receiving | Finished
"""What a running job tells; errors are raised."""
