# SPDX-License-Identifier: Apache-2.0
"""Ten thousand mutated messages, while another client works and notices nothing. Real daemon."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
from collections.abc import Callable

import psutil
import pytest
import zmq

from tests.daemon.fuzzer import Fuzzer, greeting_garbage
from tests.daemon.raw_client import RawClient
from tests.daemon.real_daemon import RealDaemon

NUM_MESSAGES = 10_000
NUM_GREETINGS = 300
MESSAGES_PER_CONNECTION = 500
SEED = 20


def drain(client: RawClient) -> int:
    """Take what has come; returns the number of messages."""
    count = 0
    while client.socket.poll(0):
        client.socket.recv_multipart()
        count += 1
    return count


def fuzz(daemon: RealDaemon, seed: int, num_messages: int) -> int:
    """Send mutated messages over several connections; returns the number of answers and events."""
    fuzzer, answers = Fuzzer(seed), 0
    for _ in range(num_messages // MESSAGES_PER_CONNECTION):
        with daemon.client() as client:
            for _ in range(MESSAGES_PER_CONNECTION):
                client.send_raw(*fuzzer.message())
                answers += drain(client)
            while client.socket.poll(300):
                client.socket.recv_multipart(zmq.NOBLOCK)
                answers += 1
    return answers


@pytest.mark.slow
def test_a_fuzzer_costs_nobody_else_anything(make_daemon: Callable[..., RealDaemon]) -> None:
    daemon = make_daemon()
    daemon.warm_up()
    assert daemon.process
    before = daemon.rss_bytes()
    stop, failures, finished = threading.Event(), list[BaseException](), list[str]()

    def work() -> None:
        try:
            with daemon.client() as client:
                while not stop.is_set():
                    pixels = os.urandom(60 * 40 * 3)
                    job = client.submit(60, 40, pixels=pixels, title="honest")
                    assert client.result(job)[1] == pixels
                    client.forget(job)
                    finished.append(job)
        except BaseException as error:
            failures.append(error)

    honest = threading.Thread(target=work)
    honest.start()
    try:
        answers = fuzz(daemon, SEED, NUM_MESSAGES)
        port = int(json.loads(daemon.place.read_text())["endpoints"][-1].rpartition(":")[2])
        draw = random.Random(SEED)
        for _ in range(NUM_GREETINGS):
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(greeting_garbage(draw))
    finally:
        stop.set()
        honest.join(60)
    assert not failures, failures
    assert len(finished) >= 20
    assert answers >= NUM_MESSAGES / 2, "most messages are requests, and each of those is answered"
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.log_text()
    assert daemon.rss_bytes() - before < 40 << 20
    assert psutil.Process(daemon.process.pid).num_fds() < 200
    with daemon.client() as client:
        client.result(client.submit(8, 8))
        client.ask({"type": "get-jobs"})
