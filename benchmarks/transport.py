# SPDX-License-Identifier: Apache-2.0
"""What the way costs: 4096 x 4096 RGBA, 64 MiB, client -> broker -> worker and back, with nothing
done to it.

Beside it, in the same run: one plain copy of the 128 MiB that travel, into memory already touched,
and the same picture over HTTP as PNG, as a web API would take it. Best of several. Then what the
broker costs at rest.

    python benchmarks/transport.py [--rounds 7] [--no-http]
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from pid_client.job import JobSpec
from pid_client.session import Session
from pid_protocol.pixels import PixelFormat

SIDE_PX = 4096
LIMIT_S, LIMIT_COPIES = 0.6, 8.0
LIMIT_READY_S, LIMIT_IDLE_BYTES = 0.5, 60e6


def picture() -> np.ndarray:
    """Something like a photograph: smooth, with noise in the last bits. [H, W, 4] uint8."""
    draw = np.random.default_rng(0)
    ramp = np.linspace(0, 200, SIDE_PX, dtype=np.float32)
    plane = ramp[:, None] / 2 + ramp[None, :] / 2
    noise = draw.integers(0, 12, (SIDE_PX, SIDE_PX, 4), dtype=np.uint8)
    return (plane[..., None].astype(np.uint8) + noise).astype(np.uint8)


def best_of(rounds: int, action: Callable[[], float]) -> tuple[float, float]:
    """Best and median seconds."""
    times_s = sorted(action() for _ in range(rounds))
    return times_s[0], times_s[len(times_s) // 2]


def copy_once(num_bytes: int) -> Callable[[], float]:
    """One plain copy into memory already touched."""
    source = np.ones(num_bytes, np.uint8)
    target = np.zeros(num_bytes, np.uint8)

    def copy() -> float:
        began_s = time.perf_counter()
        np.copyto(target, source)
        return time.perf_counter() - began_s

    return copy


class Daemon:
    """A daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "connection.json"
        self._environment = {
            **os.environ,
            "PID_CONNECTION_FILE": str(self.place),
            "PID_CONFIG_FILE": str(folder / "none.toml"),
            "PID_SPOOL_FOLDER": str(folder / "spool"),
            "PID_LOG_FOLDER": str(folder / "log"),
            "PID_RUNTIME_FOLDER": str(folder / "run"),
            "PID_DEVICE": "cpu",
        }

    def start(self) -> float:
        """Start it; returns the seconds until the first answer."""
        began_s = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pid_daemon.broker"], env=self._environment
        )
        while not self.place.exists():
            time.sleep(0.002)
        Session.connect(client="benchmark", connection_file=self.place).close()
        return time.perf_counter() - began_s

    def stop(self) -> None:
        """End it in order."""
        self._process.terminate()
        self._process.wait()

    def rss_bytes(self) -> int:
        """Resident memory of the broker."""
        return psutil.Process(self._process.pid).memory_info().rss

    def cpu_s(self) -> float:
        """Processor time so far, of the broker, its worker and this client."""
        broker = psutil.Process(self._process.pid)
        everyone = [psutil.Process(), broker, *broker.children()]
        return sum(sum(process.cpu_times()[:2]) for process in everyone)

    def libraries(self) -> str:
        """Names of the files that are mapped into the broker."""
        maps = psutil.Process(self._process.pid).memory_maps()
        return " ".join(part.path for part in maps)


def round_trip(
    daemon: Daemon, session: Session, pixels: np.ndarray, fmt: PixelFormat
) -> Callable[[], tuple[float, float]]:
    """One job of the identity engine, checked: seconds by the clock, and of processors."""
    sent = memoryview(pixels).cast("B")

    def run() -> tuple[float, float]:
        spec = JobSpec("enhance", fmt, {"engine": "identity"})
        began_s, cpu_s = time.perf_counter(), daemon.cpu_s()
        job = session.submit(spec, sent)
        finished = job.wait(120)
        took_s, cpu_s = time.perf_counter() - began_s, daemon.cpu_s() - cpu_s
        if not np.array_equal(np.frombuffer(finished.pixels, np.uint8), pixels.reshape(-1)):
            raise SystemExit("the pixels came back different")
        job.forget()
        return took_s, cpu_s

    return run


def serve_http(ready: Connection) -> None:
    """A web API of the usual kind: PNG in, PNG out."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            answer = to_png(np.asarray(Image.open(io.BytesIO(data))))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


def to_png(pixels: np.ndarray) -> bytes:
    """Encode with Pillow's fastest compression: kinder to HTTP than the usual default."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def over_http(port: int, pixels: np.ndarray) -> Callable[[], float]:
    """The same picture there and back as PNG."""

    def run() -> float:
        began_s = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/", to_png(pixels))
        answer = np.asarray(Image.open(io.BytesIO(connection.getresponse().read())))
        took_s = time.perf_counter() - began_s
        if not np.array_equal(answer, pixels):
            raise SystemExit("the pixels came back different over HTTP")
        connection.close()
        return took_s

    return run


def verdict(name: str, value: float, limit: float, unit: str) -> bool:
    """Print one line; returns whether the limit is kept."""
    kept = value <= limit
    print(f"  {'ok  ' if kept else 'MISS'} {name}: {value:.3g} {unit} (limit {limit:g})")
    return kept


def main() -> int:
    """Measure and print; the exit status is 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-http", action="store_true")
    arguments = parser.parse_args()
    pixels = picture()
    fmt = PixelFormat(SIDE_PX, SIDE_PX, "rgba")
    copy = copy_once(2 * pixels.nbytes)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPU cores, load {load:.1f}, best (median) of {arguments.rounds}")
    with tempfile.TemporaryDirectory() as name:
        daemon = Daemon(Path(name))
        starts_s: list[float] = []
        for _ in range(3):
            starts_s.append(daemon.start())
            idle_bytes, libraries = daemon.rss_bytes(), daemon.libraries()
            daemon.stop()
        daemon.start()
        try:
            with Session.connect(client="benchmark", connection_file=daemon.place) as session:
                trip = round_trip(daemon, session, pixels, fmt)
                trip()  # the worker imports torch now
                best_of(3, copy)
                # One after the other, so that a busy neighbour disturbs both.
                rounds = [(copy(), *trip()) for _ in range(arguments.rounds)]
                copies_s, trips_s, cpus_s = (sorted(each) for each in zip(*rounds, strict=True))
        finally:
            daemon.stop()
    middle = arguments.rounds // 2
    size_mib = 2 * pixels.nbytes >> 20
    print(f"  plain copy of {size_mib} MiB: {copies_s[0]:.4f} s ({copies_s[middle]:.4f})")
    print(f"  through the daemon: {trips_s[0]:.3f} s ({trips_s[middle]:.3f})")
    print(f"  processors, all three processes: {cpus_s[0]:.3f} s ({cpus_s[middle]:.3f})")
    if not arguments.no_http:
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve_http, args=(theirs,), daemon=True)
        server.start()
        http_s = best_of(2, over_http(ours.recv(), pixels))
        server.kill()
        print(f"  over HTTP as PNG: {http_s[0]:.2f} s, {http_s[0] / trips_s[0]:.1f} times as long")
    kept = [
        verdict("round trip", trips_s[0], LIMIT_S, "s"),
        verdict("round trip / plain copy", trips_s[0] / copies_s[0], LIMIT_COPIES, "x"),
        verdict("broker ready", min(starts_s), LIMIT_READY_S, "s"),
        verdict("broker idle", idle_bytes / 1e6, LIMIT_IDLE_BYTES / 1e6, "MB"),
        verdict(
            "torch or numpy in the broker", "torch" in libraries or "numpy" in libraries, 0, ""
        ),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
