# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, at random, against a live daemon with many clients; then the books
are checked.

    python benchmarks/chaos.py --minutes 15 [--clients 8] [--seed 1]

Clients submit, cancel, vanish, stand still, fetch and forget; a fuzzer sends nonsense; workers and
the broker are killed or stopped. Every job whose acceptance a client heard of has to end delivered
or reported: with its own bytes, with an error, or, where the client was gone, as an entry that a
later client can still ask for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.daemon.fuzzer import Fuzzer  # noqa: E402
from tests.daemon.raw_client import JobFailed, RawClient  # noqa: E402
from tests.daemon.real_daemon import RealDaemon  # noqa: E402

PATIENCE_S = 400.0
"""How long an end may take: a worker's start on a busy machine, several times over."""
FAULT_EVERY_S = (4.0, 12.0)


class Ledger:
    """What every client knows of its jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.owed: set[str] = set()
        """Accepted jobs whose end nobody has heard of yet."""
        self.problems: list[str] = []

    def accepted(self, job: str) -> None:
        with self._lock:
            self.counts["accepted"] += 1
            self.owed.add(job)

    def ended(self, job: str, how: str) -> None:
        with self._lock:
            if job in self.owed:
                self.owed.discard(job)
                self.counts[how] += 1

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def problem(self, text: str) -> None:
        with self._lock:
            self.problems.append(text)
            print(f"  PROBLEM {text}", flush=True)


class Client(threading.Thread):
    """A user: one connection after the other, one job after the other."""

    def __init__(
        self, daemon: RealDaemon, ledger: Ledger, seed: int, stop: threading.Event
    ) -> None:
        super().__init__(name=f"client-{seed}")
        self._daemon, self._ledger, self._end = daemon, ledger, stop
        self._draw = random.Random(seed)

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with self._daemon.client() as client:
                    for _ in range(self._draw.randint(1, 12)):
                        if self._end.is_set() or not self._one_job(client):
                            break
            except (TimeoutError, OSError, ValueError, KeyError):
                self._ledger.count(
                    "connections lost"
                )  # the broker was killed; what is owed is settled later
                time.sleep(0.3)
            except Exception as error:
                self._ledger.problem(f"{self.name}: {type(error).__name__}: {error}")

    def _one_job(self, client: RawClient) -> bool:
        """One job with one habit; False = hang up now."""
        draw, ledger = self._draw, self._ledger
        width, height = draw.randint(1, 160), draw.randint(1, 160)
        is_long = draw.random() < 0.15
        engine = "compact" if is_long or draw.random() < 0.3 else "identity"
        if is_long:
            width, height = draw.randint(300, 700), draw.randint(300, 700)
        kind = "upscale" if engine == "compact" else "enhance"
        pixels = draw.randbytes(width * height * 3)
        fields = {
            "priority": draw.choice(["interactive", "batch"]),
            "detached": draw.random() < 0.3,
            "keep_alive_s": draw.choice([None, None, None, 0, 1, -1]),
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        try:
            job = client.submit(
                width,
                height,
                pixels=pixels,
                kind=kind,
                engine=engine,
                **fields,  # type: ignore[arg-type]
            )
        except JobFailed as error:
            ledger.count(f"refused: {error.code}")
            return True
        ledger.accepted(job)
        habit = draw.choices(
            ["wait", "cancel", "vanish", "stand still", "forget"], [10, 2, 2, 1, 1]
        )[0]
        ledger.count(f"habit: {habit}")
        if habit == "vanish":
            return False
        if habit == "stand still":
            time.sleep(draw.uniform(0.5, 4))
        if habit == "cancel":
            time.sleep(draw.uniform(0, 1))
            client.ask({"type": "cancel", "job": job}, timeout_s=30)
        if habit == "forget":
            client.ask({"type": "forget", "job": job}, timeout_s=30)
        try:
            _, answer = client.result(job, timeout_s=PATIENCE_S if habit != "forget" else 5)
        except JobFailed as error:
            ledger.ended(job, f"reported: {error.code}")
            return True
        except TimeoutError:
            if habit == "forget":  # it was done already, and is gone as was wished
                ledger.ended(job, "delivered: forgotten unread")
                return True
            raise
        if engine == "identity" and answer != pixels:
            ledger.problem(f"job {job}: other bytes came back")
        ledger.ended(job, "delivered")
        client.forget(job)
        return True


class Nonsense(threading.Thread):
    """A client that never says anything right."""

    def __init__(
        self, daemon: RealDaemon, ledger: Ledger, seed: int, stop: threading.Event
    ) -> None:
        super().__init__(name="nonsense")
        self._daemon, self._ledger, self._end = daemon, ledger, stop
        self._fuzzer = Fuzzer(seed)

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with self._daemon.client() as client:
                    for _ in range(200):
                        client.send_raw(*self._fuzzer.message())
                        self._ledger.count("nonsense sent")
                        while client.socket.poll(0):
                            client.socket.recv_multipart(zmq.NOBLOCK)
                        if self._end.wait(0.005):
                            break
            except (TimeoutError, OSError, ValueError, KeyError):
                time.sleep(0.3)


def faults(
    daemon: RealDaemon, ledger: Ledger, draw: random.Random
) -> dict[str, Callable[[], None]]:
    """What is done to the daemon's processes."""

    def workers() -> list[psutil.Process]:
        assert daemon.process
        try:
            return psutil.Process(daemon.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def kill_worker() -> None:
        for worker in workers():
            worker.kill()

    def stop_worker() -> None:
        """It hangs for a while; longer than its limit is the limit's business."""
        for worker in workers():
            worker.suspend()
            time.sleep(draw.uniform(0.2, 3))
            if worker.is_running():
                worker.resume()

    def kill_broker() -> None:
        orphans = workers()
        daemon.kill()
        _, alive = psutil.wait_procs(orphans, timeout=5)
        for orphan in alive:
            ledger.problem(f"worker {orphan.pid} outlived its broker")
        daemon.start()

    def stop_broker() -> None:
        assert daemon.process
        os.kill(daemon.process.pid, signal.SIGSTOP)
        time.sleep(draw.uniform(0.1, 2))
        os.kill(daemon.process.pid, signal.SIGCONT)

    def restart_broker() -> None:
        if daemon.stop() != 0:
            ledger.problem("the daemon's orderly end failed")
        daemon.start()

    def unload() -> None:
        with daemon.client() as client:
            client.ask({"type": "unload"}, timeout_s=30)

    return {
        "worker killed": kill_worker,
        "worker stopped": stop_worker,
        "broker killed": kill_broker,
        "broker stopped": stop_broker,
        "broker restarted": restart_broker,
        "unload": unload,
    }


def settle(daemon: RealDaemon, ledger: Ledger) -> None:
    """Ask for every job whose end its own client could not hear."""
    deadline_s = time.monotonic() + PATIENCE_S
    with daemon.client() as client:
        for job in sorted(ledger.owed):
            answer = client.ask({"type": "fetch", "job": job}, timeout_s=30)
            if answer["type"] == "error":
                ledger.problem(f"job {job} was accepted and is unknown: {answer['message']}")
                continue
            try:
                client.result(job, timeout_s=max(1.0, deadline_s - time.monotonic()))
                ledger.ended(job, "delivered later")
                client.forget(job)
            except JobFailed as error:
                ledger.ended(job, f"reported later: {error.code}")
            except TimeoutError:
                ledger.problem(f"job {job} was accepted and never ends")


def check_the_rest(daemon: RealDaemon, ledger: Ledger) -> None:
    """Nothing is left over: no job under way, no defect in the log, no growing memory, no lost
    files."""
    with daemon.client() as client:
        counts = client.status()["jobs"]
        for state in ("receiving", "queued", "running"):
            if counts[state]:
                ledger.problem(f"{counts[state]} jobs are still {state}")
        known = {row["job"] for row in client.ask({"type": "get-jobs"})["jobs"]}
    folders = {path.name for path in daemon.spool.iterdir() if path.is_dir()}
    if folders != known:
        ledger.problem(f"{len(folders ^ known)} folders do not fit the books")
    if "Traceback" in daemon.log_text():
        ledger.problem("the log has a traceback")
    print(f"  broker at the end: {daemon.rss_bytes() / 1e6:.0f} MB")


def main() -> int:
    """Run, settle, print the counts; the exit status is 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", metavar="FOLDER", help="use this folder and leave it")
    arguments = parser.parse_args()
    draw, ledger, stop = random.Random(arguments.seed), Ledger(), threading.Event()
    folder = Path(arguments.keep or tempfile.mkdtemp(prefix="pid-chaos-"))
    folder.mkdir(exist_ok=True)
    daemon = RealDaemon(folder, stage_limit_s=60)
    daemon.start()
    began_s = time.monotonic()
    threads: list[threading.Thread] = [
        Client(daemon, ledger, arguments.seed * 1000 + index, stop)
        for index in range(arguments.clients)
    ]
    threads.append(Nonsense(daemon, ledger, arguments.seed, stop))
    for thread in threads:
        thread.start()
    actions = faults(daemon, ledger, draw)
    try:
        while time.monotonic() - began_s < 60 * arguments.minutes:
            time.sleep(draw.uniform(*FAULT_EVERY_S))
            name = draw.choice(list(actions))
            ledger.count(f"fault: {name}")
            try:
                actions[name]()
            except TimeoutError:
                ledger.problem(f"no answer while: {name}")
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S + 30)
    settle(daemon, ledger)
    check_the_rest(daemon, ledger)
    daemon.stop()
    ends = sum(n for name, n in ledger.counts.items() if name.startswith(("delivered", "reported")))
    for name, count in sorted(ledger.counts.items()):
        print(f"  {count:6d}  {name}")
    accepted, minutes = ledger.counts["accepted"], (time.monotonic() - began_s) / 60
    print(
        f"accepted {accepted} = delivered + reported {ends}: {'yes' if ends == accepted else 'NO'}"
    )
    print(f"{len(ledger.problems)} problems, {minutes:.1f} minutes, load {os.getloadavg()[0]:.1f}")
    print(json.dumps({"seed": arguments.seed, "log": str(daemon.log)}))
    return 0 if ends == accepted and not ledger.problems else 1


if __name__ == "__main__":
    sys.exit(main())
