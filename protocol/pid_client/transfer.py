# SPDX-License-Identifier: Apache-2.0
"""Pictures in bands: what is sent as credit comes, and what is collected. Pure, without sockets."""

from __future__ import annotations

from collections.abc import Iterator

from pid_protocol.errors import InvalidImage, OutOfMemory, RemoteProtocolError
from pid_protocol.limits import BAND_BYTES, BAND_CREDITS
from pid_protocol.messages import Band, Result
from pid_protocol.zmtp import Bytes

from .job import JobSpec


class Upload:
    """The pixels of one job, and after them the mask, cut into bands.

    Args:
        spec: the job.
        pixels: its pixels.
    Raises:
        InvalidImage: the number of bytes is not what the format says.
    """

    def __init__(self, spec: JobSpec, pixels: Bytes) -> None:
        view = memoryview(pixels).cast("B")
        if len(view) != spec.image.num_bytes:
            raise InvalidImage(
                f"{len(view)} bytes are given; {spec.image.width} x {spec.image.height} px, "
                f"{spec.image.channels} {spec.image.depth} have {spec.image.num_bytes}."
            )
        parts = [view] + ([memoryview(spec.mask).cast("B")] if spec.mask is not None else [])
        self._bands = _cut(spec.job, parts)
        self.total_bytes = sum(len(part) for part in parts)
        self.sent_bytes = 0

    def take(self, credit: int) -> list[tuple[Band, memoryview]]:
        """The next bands that the credit allows; fewer at the end."""
        taken: list[tuple[Band, memoryview]] = []
        while len(taken) < credit and (band := next(self._bands, None)):
            taken.append(band)
            self.sent_bytes += len(band[1])
        return taken


def _cut(job: str, parts: list[memoryview]) -> Iterator[tuple[Band, memoryview]]:
    offset = 0
    for part in parts:
        for start in range(0, len(part), BAND_BYTES):
            piece = part[start : start + BAND_BYTES]
            yield Band(job, offset), piece
            offset += len(piece)


class Download:
    """One result on its way in.

    Args:
        result: what the daemon announced.
        icc: the profile that came with it.
    Raises:
        InvalidImage: the announced picture is beyond the limits, or comes without its profile.
        OutOfMemory: there is no room for it here.
    """

    def __init__(self, result: Result, icc: bytes | None) -> None:
        result.image.check()
        if (icc is not None) != (result.image.profile == "icc"):
            raise InvalidImage(
                f"The result's profile is {result.image.profile!r}, "
                f"and {'an' if icc is not None else 'no'} ICC profile came with it."
            )
        self.result = result
        self.icc = icc
        try:
            self.pixels = bytearray(result.image.num_bytes)
        except MemoryError:
            raise OutOfMemory(
                f"There is no room here for the result's {result.image.num_bytes >> 20} MiB.",
                "It is kept: close other documents and recover it.",
            ) from None
        self._filled = 0
        bands = -(-len(self.pixels) // BAND_BYTES)
        self.first_credit = min(BAND_CREDITS, max(1, bands))

    @property
    def fraction(self) -> float:
        """Part of the bytes that is here, in [0, 1]."""
        return self._filled / len(self.pixels)

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here."""
        return self._filled == len(self.pixels)

    def put(self, band: Band, data: Bytes) -> None:
        """Take the next band.

        Raises:
            RemoteProtocolError: it is not the next one, or too long.
        """
        end = self._filled + len(data)
        if band.offset != self._filled or end > len(self.pixels) or not len(data):
            raise RemoteProtocolError(
                f"A band of {len(data)} bytes came at {band.offset}; expected was {self._filled} "
                f"of {len(self.pixels)}."
            )
        self.pixels[self._filled : end] = data
        self._filled = end
