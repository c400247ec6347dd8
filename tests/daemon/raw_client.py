# SPDX-License-Identifier: Apache-2.0
"""A client of bare pyzmq and msgpack: it can say anything, also what no client of ours would."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import msgpack
import zmq

from pid_protocol import PROGRAM_VERSION, PROTOCOL_VERSION
from pid_protocol.limits import BAND_BYTES, BAND_CREDITS


class JobFailed(Exception):
    """The daemon ended a job with an error.

    Args:
        header: the error's header.
    """

    def __init__(self, header: dict[str, Any]) -> None:
        super().__init__(f"{header['code']}: {header['message']}")
        self.code: str = header["code"]
        self.message: str = header["message"]


def new_job() -> str:
    """A fresh identifier."""
    return secrets.token_hex(16)


class RawClient:
    """One DEALER connection."""

    def __init__(
        self,
        place: Path,
        *,
        hello: bool = True,
        token: str | None = None,
        endpoint: int = -1,
        receive_queue: int = 0,
    ) -> None:
        """Connect.

        Args:
            place: the connection file.
            hello: whether to say hello.
            token: another one than the file's.
            endpoint: which of the file's endpoints; the last one is TCP.
            receive_queue: messages that libzmq takes without being asked; 0 = as many as it likes.
        """
        connection = json.loads(place.read_text())
        self._place = place
        self._published_token = connection["token"]
        self.token: str = token or connection["token"]
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, receive_queue)
        self.socket.setsockopt(zmq.PLAIN_USERNAME, b"pid")
        password = hmac.new(self.token.encode(), b"client", hashlib.sha256).hexdigest()
        self.socket.setsockopt(zmq.PLAIN_PASSWORD, password.encode())
        self.socket.connect(connection["endpoints"][endpoint])
        self._numbers = iter(range(1, 1 << 60))
        self.events: list[tuple[dict[str, Any], list[bytes]]] = []
        """Messages that nobody waited for."""
        if hello:
            self.hello()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
        self._context.term()

    def _place_token(self) -> str:
        try:
            return json.loads(self._place.read_text())["token"]
        except FileNotFoundError:
            return ""

    def hello(self, **changes: Any) -> dict[str, Any]:
        """Say hello; returns the answer."""
        header = {
            "type": "hello",
            "protocol": PROTOCOL_VERSION,
            "client": "test",
            "version": PROGRAM_VERSION,
            "challenge": os.urandom(16),
            **changes,
        }
        return self.ask(header)

    def send(self, header: Any, *blobs: bytes) -> None:
        """Send a message as it is."""
        self.send_raw(msgpack.packb(header), *blobs)

    def send_raw(self, *frames: bytes) -> None:
        """Send frames as they are."""
        self.socket.send_multipart(frames)

    def receive(self, timeout_s: float = 10.0) -> tuple[dict[str, Any], list[bytes]]:
        """The next message, whatever it is."""
        deadline_s = time.monotonic() + timeout_s
        while not self.socket.poll(max(0, min(1, deadline_s - time.monotonic())) * 1000):
            if self._place_token() != self._published_token:
                raise ConnectionError("the daemon has ended")  # libzmq would go on trying for ever
            if time.monotonic() >= deadline_s:
                raise TimeoutError(f"nothing came for {timeout_s} s")
        header, *blobs = self.socket.recv_multipart()
        return msgpack.unpackb(header), blobs

    def ask(self, header: dict[str, Any], *blobs: bytes, timeout_s: float = 10.0) -> dict[str, Any]:
        """Send a request and return its answer; events that come before are kept."""
        number = next(self._numbers)
        self.send({**header, "id": number}, *blobs)
        deadline_s = time.monotonic() + timeout_s
        while True:
            answer, rest = self.receive(deadline_s - time.monotonic())
            if answer.get("re") == number:
                return answer
            self.events.append((answer, rest))

    def wait(
        self, job: str, *types: str, timeout_s: float = 120.0
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The next event of a job that has one of the types; its error is raised unless asked
        for."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            kept = next((event for event in self.events if event[0].get("job") == job), None)
            if kept:
                self.events.remove(kept)
                header, blobs = kept
            else:
                header, blobs = self.receive(deadline_s - time.monotonic())
                if header.get("job") != job:
                    self.events.append((header, blobs))
                    continue
            if header["type"] in types:
                return header, blobs
            if header["type"] == "error":
                raise JobFailed(header)

    def submit(
        self,
        width: int,
        height: int,
        *,
        job: str | None = None,
        pixels: bytes | None = None,
        channels: str = "rgb",
        kind: str = "enhance",
        engine: str = "identity",
        options: dict[str, Any] | None = None,
        queued: bool = True,
        **fields: Any,
    ) -> str:
        """Submit a job and send its pixels; returns its identifier once it is accepted."""
        job = job or new_job()
        samples = {"gray": 1, "gray-alpha": 2, "rgb": 3, "rgba": 4}[channels]
        data = pixels if pixels is not None else os.urandom(width * height * samples)
        header = {
            "type": "submit",
            "job": job,
            "kind": kind,
            "image": {"width": width, "height": height, "channels": channels},
            "options": {"engine": engine, **(options or {})},
            **fields,
        }
        answer = self.ask(header)
        if answer["type"] == "error":
            raise JobFailed(answer)
        self.send_pixels(job, data)
        if queued:
            self.wait(job, "queued")
        return job

    def send_pixels(self, job: str, data: bytes, band_bytes: int = BAND_BYTES) -> None:
        """Send bands within the credit."""
        credit = BAND_CREDITS
        for offset in range(0, len(data), band_bytes):
            while credit == 0:
                credit += self.wait(job, "credit")[0]["bands"]
            band = {"type": "band", "job": job, "offset": offset}
            self.send(band, data[offset : offset + band_bytes])
            credit -= 1

    def result(self, job: str, timeout_s: float = 180.0) -> tuple[dict[str, Any], bytes]:
        """Wait for a job's result and take its pixels; the job is kept."""
        header, _ = self.wait(job, "result", timeout_s=timeout_s)
        image = header["image"]
        samples = {"gray": 1, "gray-alpha": 2, "rgb": 3, "rgba": 4}[image.get("channels", "rgb")]
        depth = {"u8": 1, "u16": 2, "f16": 2, "f32": 4}[image.get("depth", "u8")]
        total = image["width"] * image["height"] * samples * depth
        data = bytearray()
        self.send({"type": "credit", "job": job, "bands": BAND_CREDITS})
        while len(data) < total:
            band, blobs = self.wait(job, "band", timeout_s=timeout_s)
            assert band["offset"] == len(data)
            data += blobs[0]
            self.send({"type": "credit", "job": job, "bands": 1})
        return header, bytes(data)

    def forget(self, job: str) -> None:
        """Say that the result has come."""
        assert self.ask({"type": "forget", "job": job})["type"] == "ok"

    def status(self) -> dict[str, Any]:
        """Ask for the status."""
        return self.ask({"type": "get-status"})
