# SPDX-License-Identifier: Apache-2.0
"""Messages that are almost right: seeded mutations of every request, on the level of values, bytes
and frames."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgpack

Frames = list[bytes]

ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -1.0, 1e308,
    float("inf"), float("-inf"), float("nan"), "", "x", "\0", "ü" * 200, "../../etc/passwd",
    "a" * 32, "0" * 32, "x" * 70_000, b"", b"\xff" * 16, [], {}, [[]], {"": {}}, {"x": [None]},
    list(range(1000)),
]  # fmt: skip
PICTURE = {"width": 4, "height": 3, "channels": "rgb", "depth": "u8"}


def requests(draw: random.Random) -> list[dict[str, Any]]:
    """One well-formed header of each kind."""
    job = f"{draw.getrandbits(128):032x}"
    submit = {
        "type": "submit", "job": job, "kind": "enhance", "image": PICTURE,
        "options": {"engine": "identity", "seed": 1, "repair": 0.5},
        "region": {"x": 0, "y": 0, "width": 2, "height": 2}, "mask": False, "detached": False,
        "priority": "batch", "title": "layer", "keep_alive_s": 5.0,
    }  # fmt: skip
    plan = {"type": "get-plan", "kind": "upscale", "image": PICTURE, "options": {"scale": 2.0}}
    hello = {
        "type": "hello", "protocol": 1, "client": "fuzz", "version": "0", "challenge": bytes(16)
    }  # fmt: skip
    with_job = [{"type": name, "job": job} for name in ("cancel", "fetch", "forget")]
    plain = [{"type": name} for name in ("get-status", "get-jobs", "get-models")]
    band = {"type": "band", "job": job, "offset": 0}
    credit = {"type": "credit", "job": job, "bands": 8}
    return [hello, submit, submit, submit, band, credit, plan, *with_job, *plain]


class Fuzzer:
    """An endless, reproducible stream of messages."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._last_jobs: list[str] = []

    def message(self) -> Frames:
        """The next one: a request with something wrong in it, or nothing wrong at all."""
        draw = self._draw
        header = dict(draw.choice(requests(draw)))
        header["id"] = draw.randrange(1000)
        if "job" in header:  # sometimes a job that there is
            if self._last_jobs and draw.random() < 0.5:
                header["job"] = draw.choice(self._last_jobs)
            elif header["type"] == "submit":
                self._last_jobs = [*self._last_jobs[-20:], header["job"]]
        for _ in range(draw.choice([0, 1, 1, 1, 2, 4])):
            self._spoil(header)
        frames = [msgpack.packb(header), *self._blobs(header)]
        spoil_bytes: list[Callable[[Frames], Frames]] = [
            self._as_it_is, self._as_it_is, self._flip, self._cut, self._insert, self._frames
        ]  # fmt: skip
        return draw.choice(spoil_bytes)(frames)

    def _blobs(self, header: dict[str, Any]) -> Frames:
        if header.get("type") == "band":
            return [self._draw.randbytes(self._draw.choice([0, 1, 12, 36, 36, 36, 40, 5000]))]
        return []

    def _spoil(self, header: dict[str, Any]) -> None:
        """Change one value, somewhere."""
        draw, target = self._draw, header
        inner = [value for value in header.values() if isinstance(value, dict) and value]
        if inner and draw.random() < 0.5:
            target = draw.choice(inner)
        if not target:
            return
        name = draw.choice(list(target))
        action = draw.randrange(4)
        if action == 0:
            del target[name]
        elif action == 1:
            target[draw.choice(["", "extra", "type", "id", "x" * 300])] = draw.choice(ODD_VALUES)
        else:
            target[name] = draw.choice(ODD_VALUES)

    def _as_it_is(self, frames: Frames) -> Frames:
        return frames

    def _flip(self, frames: Frames) -> Frames:
        data = bytearray(frames[0])
        for _ in range(self._draw.randint(1, 6)):
            data[self._draw.randrange(len(data))] = self._draw.randrange(256)
        return [bytes(data), *frames[1:]]

    def _cut(self, frames: Frames) -> Frames:
        return [frames[0][: self._draw.randrange(len(frames[0]))], *frames[1:]]

    def _insert(self, frames: Frames) -> Frames:
        place = self._draw.randrange(len(frames[0]) + 1)
        extra = self._draw.choice([b"\x91" * 2000, b"\xdf\xff\xff\xff\xff", b"\xc1", b"\x00"])
        return [frames[0][:place] + extra + frames[0][place:], *frames[1:]]

    def _frames(self, frames: Frames) -> Frames:
        return self._draw.choice(
            [frames + [b""], frames + frames, frames[1:] or [b""], [b""] * 40, frames[::-1]]
        )


def greeting_garbage(draw: random.Random) -> bytes:
    """Bytes that a stranger may send to the port: ZMTP cut short, bent, or nothing of the kind."""
    greeting = bytearray(b"\xff" + bytes(8) + b"\x7f\x03\x00PLAIN" + bytes(48))
    kind = draw.randrange(4)
    if kind == 0:
        return draw.randbytes(draw.randrange(200))
    if kind == 1:
        return bytes(greeting[: draw.randrange(len(greeting))])
    if kind == 2:
        greeting[draw.randrange(len(greeting))] ^= 1 << draw.randrange(8)
        return bytes(greeting) + draw.randbytes(60)
    hello = (
        b"\x04" + bytes([draw.randrange(256)]) + b"\x05HELLO" + draw.randbytes(draw.randrange(80))
    )
    return bytes(greeting) + hello
