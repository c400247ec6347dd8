# SPDX-License-Identifier: Apache-2.0
"""A broker of pyzmq and msgpack in a thread: answers a picture with itself, or as a test says."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

Header = dict[str, Any]
Answer = Callable[["Broker", Header, list[bytes]], None]
BAND_BYTES = 100_000


class Broker:
    """One ROUTER with PLAIN; one client at a time.

    Args:
        folder: of the connection file and the unix socket.
        kind: `ipc` or `tcp`.
        answers: what to do, by message type, in place of the usual.
        options: of the socket.
        file: fields of the connection file that differ from the usual.
        takes_all: whether any password is good, as with a stranger.
        factor: enlargement of what is answered, by repeating pixels.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str = "ipc",
        answers: dict[str, Answer] | None = None,
        options: dict[int, int] | None = None,
        file: Header | None = None,
        takes_all: bool = False,
        factor: int = 1,
    ) -> None:
        self.place = folder / "connection.json"
        self.token = os.urandom(32).hex()
        self.answers = answers or {}
        self.takes_all = takes_all
        self.factor = factor
        self.received: list[tuple[Header, list[bytes]]] = []
        self.problems: list[BaseException] = []
        self.orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.jobs: dict[str, Header] = {}
        self.pixels: dict[str, bytearray] = {}
        self.most_ahead = 0
        self._credit: dict[str, int] = {}
        self._identity = b""
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.PLAIN_SERVER, 1)
        self.socket.setsockopt(zmq.LINGER, 0)
        for option, value in (options or {}).items():
            self.socket.setsockopt(option, value)
        self.socket.bind(f"ipc://{folder}/s" if kind == "ipc" else "tcp://127.0.0.1:*")
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        values = {
            "endpoints": [self.endpoint],
            "token": self.token,
            "protocol": 1,
            "version": "0.1.0",
            "pid": os.getpid(),
            "boot": "",
        }
        self.place.write_text(json.dumps(values | (file or {})))
        self.place.chmod(0o600)
        self._is_ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.problems:
            raise self.problems[0]

    def stop(self) -> None:
        self._is_ending = True
        self._thread.join(10)

    @property
    def types(self) -> list[str]:
        """Types of the messages that came, runs of bands and credits as one."""
        seen = [header["type"] for header, _ in self.received]
        return [t for i, t in enumerate(seen) if i == 0 or t != seen[i - 1]]

    def of_type(self, name: str) -> list[Header]:
        return [header for header, _ in list(self.received) if header["type"] == name]

    def hmac(self, data: bytes) -> bytes:
        return hmac.new(self.token.encode(), data, hashlib.sha256).digest()

    def send(self, header: Header, *blobs: bytes) -> None:
        self.socket.send_multipart([self._identity, msgpack.packb(header), *blobs])

    def later(self, action: Callable[[], None]) -> None:
        """Have something done on the broker's thread."""
        self.orders.put(action)

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self._zap, zmq.POLLIN)
        try:
            while not self._is_ending:
                while not self.orders.empty():
                    self.orders.get()()
                ready = dict(poller.poll(10))
                if self._zap in ready:
                    self._let_in()
                if self.socket in ready:
                    self._identity, head, *blobs = self.socket.recv_multipart()
                    header = msgpack.unpackb(head)
                    self.received.append((header, blobs))
                    usual = getattr(self, "on_" + header["type"].replace("-", "_"), None)
                    answer = self.answers.get(header["type"])
                    if answer is not None:
                        answer(self, header, blobs)
                    elif usual is not None:
                        usual(header, blobs)
        except BaseException as problem:
            self.problems.append(problem)
        finally:
            self.socket.close()
            self._zap.close()
            self._context.term()

    def _let_in(self) -> None:
        version, number, _, _, _, mechanism, user, password = self._zap.recv_multipart()
        right = hmac.new(self.token.encode(), b"client", hashlib.sha256).hexdigest().encode()
        good = self.takes_all or (mechanism, user, password) == (b"PLAIN", b"pid", right)
        status = (b"200", b"OK") if good else (b"400", b"no")
        self._zap.send_multipart([version, number, *status, b"", b""])

    # --- the usual answers -----------------------------------------------------------------------

    def on_hello(self, header: Header, _: list[bytes]) -> None:
        proof = self.hmac(b"daemon" + header["challenge"])
        self.send(
            {
                "type": "welcome",
                "re": header["id"],
                "protocol": 1,
                "version": "0.1.0",
                "proof": proof,
            }
        )

    def on_submit(self, header: Header, _: list[bytes]) -> None:
        job = header["job"]
        self.jobs[job], self.pixels[job] = header, bytearray()
        self._credit[job] = 2
        self.send({"type": "credit", "re": header["id"], "job": job, "bands": 2})

    def on_band(self, header: Header, blobs: list[bytes]) -> None:
        job = header["job"]
        assert header["offset"] == len(self.pixels[job])
        self._credit[job] -= 1
        assert self._credit[job] >= 0, "a band came without credit"
        self.pixels[job] += blobs[0]
        image = self.jobs[job]["image"]
        size = image["width"] * image["height"]
        expected = size * 3 + (size if self.jobs[job].get("mask") else 0)
        if len(self.pixels[job]) < expected:
            self._credit[job] += 1
            self.send({"type": "credit", "job": job, "bands": 1})
        else:
            self.finish(job)

    def finish(self, job: str) -> None:
        """Tell everything that a job tells."""
        self.jobs[job]["answer"] = self.answer(job)
        image = self.jobs[job]["image"]
        self.send({"type": "queued", "job": job, "position": 1})
        tile = {"stage": "tile", "fraction": 0.5, "index": 1, "total": 2, "eta_s": 3.0}
        self.send({"type": "progress", "job": job, **tile})
        self.send({"type": "preview", "job": job, "width": 2, "height": 1}, b"abcdef")
        part = self.jobs[job].get("region") or {"x": 0, "y": 0, **image}
        made = {name: part[name] * self.factor for name in ("width", "height")}
        profile = [b"an icc profile"] if image.get("profile") == "icc" else []
        result = {"type": "result", "job": job, "image": image | made, "record": {"engine": "x"}}
        self.send(result, *profile)

    def answer(self, job: str) -> bytes:
        """The pixels of the answer: the region, each pixel repeated."""
        image = self.jobs[job]["image"]
        part = self.jobs[job].get("region") or {"x": 0, "y": 0, **image}
        size = (image["height"], image["width"], 3)
        pixels = np.frombuffer(self.pixels[job], np.uint8)[: image["width"] * image["height"] * 3]
        down, across = part["y"], part["x"]
        cut = pixels.reshape(size)[down : down + part["height"], across : across + part["width"]]
        return cut.repeat(self.factor, 0).repeat(self.factor, 1).tobytes()

    def on_credit(self, header: Header, _: list[bytes]) -> None:
        job = header["job"]
        pixels = self.jobs[job]["answer"]
        start = self.jobs[job].setdefault("sent", 0)
        for _ in range(header["bands"]):
            if start < len(pixels):
                piece = pixels[start : start + BAND_BYTES]
                self.send({"type": "band", "job": job, "offset": start}, piece)
                start += len(piece)
        self.jobs[job]["sent"] = start

    def on_cancel(self, header: Header, _: list[bytes]) -> None:
        self.on_forget(header, _)
        self.send(
            {"type": "error", "job": header["job"], "code": "cancelled", "message": "Stopped."}
        )

    def on_forget(self, header: Header, _: list[bytes]) -> None:
        self.send({"type": "ok", "re": header["id"]})

    def on_fetch(self, header: Header, _: list[bytes]) -> None:
        self.on_forget(header, _)
        self.jobs[header["job"]]["sent"] = 0
        self.finish(header["job"])

    def on_get_jobs(self, header: Header, _: list[bytes]) -> None:
        self.send(
            {
                "type": "jobs",
                "re": header["id"],
                "jobs": [
                    {
                        "job": name,
                        "state": "done",
                        "title": "T",
                        "kind": "upscale",
                        "submitted_s": 1.0,
                    }
                    for name in self.jobs
                ],
            }
        )
