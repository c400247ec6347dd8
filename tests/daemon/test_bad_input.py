# SPDX-License-Identifier: Apache-2.0
"""Whatever is malformed gets a clear error and costs nobody else anything. Real daemon, bare
sockets."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from pid_protocol.limits import BAND_CREDITS, MAX_BAND_BYTES, MAX_DEPTH, MAX_HEADER_BYTES
from tests.daemon.raw_client import JobFailed, RawClient, new_job
from tests.daemon.real_daemon import RealDaemon

IMAGE = {"width": 8, "height": 8}


@pytest.fixture
def client(shared_daemon: RealDaemon):
    with shared_daemon.client() as client:
        yield client
        assert client.status()["type"] == "status", "the connection still works"


def submit_header(**changes: Any) -> dict[str, Any]:
    header = {"type": "submit", "job": new_job(), "kind": "enhance", "image": IMAGE, **changes}
    return {name: value for name, value in header.items() if value is not None}


REFUSED_SUBMITS: list[tuple[str, dict[str, Any], str]] = [
    ("no job", {"job": None}, "remote_protocol_error"),
    ("a path as a job", {"job": "../" * 10 + "ab"}, "invalid_request"),
    ("upper case", {"job": "A" * 32}, "invalid_request"),
    ("unknown kind", {"kind": "sharpen"}, "invalid_request"),
    ("unknown option", {"options": {"strength": 3}}, "invalid_request"),
    ("option of another type", {"options": {"seed": "3"}}, "invalid_request"),
    ("option out of range", {"options": {"repair": 1.5}}, "invalid_request"),
    ("option not a number", {"options": {"repair": float("nan")}}, "invalid_request"),
    ("bytes as an option's name", {"options": {b"repair": 1.0}}, "invalid_request"),
    ("no side", {"image": {"width": 0, "height": 8}}, "invalid_image"),
    ("a negative side", {"image": {"width": -8, "height": -8}}, "invalid_image"),
    ("a side beyond all limits", {"image": {"width": 2**62, "height": 2**62}}, "invalid_image"),
    ("an area beyond the limit", {"image": {"width": 65_536, "height": 65_536}}, "invalid_image"),
    ("unknown depth", {"image": {**IMAGE, "depth": "u64"}}, "invalid_image"),
    ("a side that is a text", {"image": {"width": "8", "height": 8}}, "remote_protocol_error"),
    ("an image that is a list", {"image": [8, 8]}, "remote_protocol_error"),
    ("a region outside", {"region": {"x": 4, "y": 4, "width": 8, "height": 8}}, "invalid_request"),
    ("an empty region", {"region": {"x": 4, "y": 4, "width": 0, "height": 1}}, "invalid_request"),
    ("unknown priority", {"priority": "urgent"}, "invalid_request"),
    ("a title without end", {"title": "x" * 10_000}, "invalid_request"),
    ("keep-alive of NaN", {"keep_alive_s": float("nan")}, "invalid_request"),
    ("keep-alive below -1", {"keep_alive_s": -2.0}, "invalid_request"),
    ("a profile that never came", {"image": {**IMAGE, "profile": "icc"}}, "invalid_image"),
    (
        "a result beyond the limit",
        {"kind": "upscale", "image": {"width": 32_768, "height": 32_768}},
        "invalid_request",
    ),
]


@pytest.mark.parametrize(
    ("changes", "code"), [case[1:] for case in REFUSED_SUBMITS], ids=[c[0] for c in REFUSED_SUBMITS]
)
def test_a_submit_that_cannot_be_is_refused(
    client: RawClient, shared_daemon: RealDaemon, changes: dict[str, Any], code: str
) -> None:
    before = sorted(path.name for path in shared_daemon.spool.iterdir())
    answer = client.ask(submit_header(**changes))
    assert (answer["type"], answer["code"]) == ("error", code)
    assert len(answer["message"]) > 10
    assert sorted(path.name for path in shared_daemon.spool.iterdir()) == before


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


BAD_HEADERS: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no map", msgpack.packb([1, 2])),
    ("a truncated map", msgpack.packb({"type": "get-status", "id": 1})[:-1]),
    ("bytes behind it", msgpack.packb({"type": "get-status"}) + b"\0"),
    ("a type that no message has", msgpack.packb({"type": "launch"})),
    ("an event of ours", msgpack.packb({"type": "ok"})),
    ("a type that is a map", msgpack.packb({"type": {}})),
    ("too deep", msgpack.packb({"type": "get-status", "x": nested(MAX_DEPTH + 1)})),
    ("5000 levels", b"\x91" * 5000 + b"\x01"),
    ("a list that claims 4 billion", b"\xdd\xff\xff\xff\xff"),
    ("a text that claims 4 GiB", b"\xdb\xff\xff\xff\xff"),
    ("an extension", msgpack.packb({"type": msgpack.ExtType(5, b"x")})),
    ("a timestamp", msgpack.packb({"type": msgpack.Timestamp(1, 2)})),
    ("text that is no UTF-8", b"\x81\xa4type\xa2\xff\xfe"),
    ("a number as a key", msgpack.packb({1: 2})),
    ("too long", msgpack.packb({"type": "x" * (MAX_HEADER_BYTES + 1)})),
]


@pytest.mark.parametrize("data", [case[1] for case in BAD_HEADERS], ids=[c[0] for c in BAD_HEADERS])
def test_a_header_that_is_none_gets_an_error(client: RawClient, data: bytes) -> None:
    client.send_raw(data)
    answer, _ = client.receive()
    assert (answer["type"], answer["code"]) == ("error", "remote_protocol_error")


def test_wrong_numbers_of_frames(client: RawClient) -> None:
    status = msgpack.packb({"type": "get-status"})
    for frames in ([status, b"x"], [status, b"", b"", b""], [b""] * 500):
        client.send_raw(*frames)
        assert client.receive()[0]["code"] == "remote_protocol_error"


def test_no_service_before_hello(shared_daemon: RealDaemon) -> None:
    with shared_daemon.client(hello=False) as client:
        assert client.ask({"type": "get-status"})["code"] == "remote_protocol_error"
        assert client.ask(submit_header())["code"] == "remote_protocol_error"
        assert client.hello()["type"] == "welcome"
        assert client.status()["type"] == "status"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protocol": 0}, "version_mismatch"),
        ({"protocol": 999}, "version_mismatch"),
        ({"challenge": b"short"}, "invalid_request"),
        ({"client": ""}, "invalid_request"),
    ],
)
def test_a_hello_that_does_not_fit(
    shared_daemon: RealDaemon, changes: dict[str, Any], code: str
) -> None:
    with shared_daemon.client(hello=False) as client:
        answer = client.hello(**changes)
        assert answer["code"] == code
        assert client.ask({"type": "get-status"})["type"] == "error"


def test_a_wrong_token_gets_no_answer_at_all(shared_daemon: RealDaemon) -> None:
    with shared_daemon.client(hello=False, token="00" * 32) as client:
        client.send({"type": "hello"})
        with pytest.raises(TimeoutError):
            client.receive(0.7)


def test_the_daemon_proves_itself(shared_daemon: RealDaemon) -> None:
    import hashlib
    import hmac

    with shared_daemon.client(hello=False) as client:
        challenge = os.urandom(16)
        answer = client.hello(challenge=challenge)
        key = client.token.encode()
        assert answer["proof"] == hmac.new(key, b"daemon" + challenge, hashlib.sha256).digest()


def test_files_and_folders_are_for_the_user_alone(shared_daemon: RealDaemon) -> None:
    def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    assert mode(shared_daemon.place) == 0o600
    assert mode(shared_daemon.folder / "run") == 0o700
    assert mode(shared_daemon.spool) == 0o700
    with shared_daemon.client() as client:
        job = client.submit(8, 8)
        client.wait(job, "result")
        assert mode(shared_daemon.spool / job) == 0o700
        client.forget(job)


def test_it_listens_on_loopback_only(shared_daemon: RealDaemon) -> None:
    import psutil

    assert shared_daemon.process
    connections = psutil.Process(shared_daemon.process.pid).net_connections("inet")
    assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


BAD_BANDS: list[tuple[str, int, list[bytes]]] = [
    ("not the next bytes", 5, [b"x" * 10]),
    ("a negative start", -1, [b"x" * 10]),
    ("more than is missing", 0, [b"x" * 193]),
    ("no bytes", 0, [b""]),
    ("no blob", 0, []),
    ("two blobs", 0, [b"x", b"y"]),
]


@pytest.mark.parametrize(
    ("offset", "blobs"), [case[1:] for case in BAD_BANDS], ids=[case[0] for case in BAD_BANDS]
)
def test_a_wrong_band_ends_its_job(client: RawClient, offset: int, blobs: list[bytes]) -> None:
    header = submit_header()
    assert client.ask(header)["type"] == "credit"
    client.send({"type": "band", "job": header["job"], "offset": offset}, *blobs)
    with pytest.raises(JobFailed) as failure:
        client.wait(header["job"], "queued")
    assert failure.value.code == "remote_protocol_error"
    assert client.ask({"type": "fetch", "job": header["job"]})["code"] == "unknown_job"


def test_bands_of_another_connection_are_refused(
    client: RawClient, shared_daemon: RealDaemon
) -> None:
    header = submit_header()
    client.ask(header)
    with shared_daemon.client() as stranger:
        band = {"type": "band", "job": header["job"], "offset": 0}
        assert stranger.ask(band, b"x" * 10)["code"] == "invalid_request"
    client.send_pixels(header["job"], bytes(192))
    client.result(header["job"])
    client.forget(header["job"])


def test_a_frame_beyond_the_limit_ends_only_its_own_connection(shared_daemon: RealDaemon) -> None:
    with shared_daemon.client() as flooder, shared_daemon.client() as other:
        before = shared_daemon.rss_bytes()
        flooder.send_raw(b"x" * (MAX_BAND_BYTES + 1))
        other.result(other.submit(8, 8))
        assert shared_daemon.rss_bytes() - before < 20 << 20


def test_a_burst_of_tiny_bands_is_harmless(client: RawClient) -> None:
    header = submit_header(image={"width": 100, "height": 100})
    client.ask(header)
    for index in range(3 * BAND_CREDITS):
        client.send({"type": "band", "job": header["job"], "offset": index}, b"x")
    # Credit is given back as fast as bands are written, so a burst may pass; the count is held
    # either way.
    client.ask({"type": "cancel", "job": header["job"]})


def test_the_same_job_twice_is_refused(client: RawClient) -> None:
    job = client.submit(8, 8)
    assert client.ask(submit_header(job=job))["code"] == "invalid_request"
    client.result(job)
    client.forget(job)


def test_more_jobs_than_a_connection_may_have(make_daemon: Callable[..., RealDaemon]) -> None:
    from pid_protocol.limits import MAX_JOBS_PER_CLIENT

    daemon = make_daemon()
    with daemon.client() as client:
        for _ in range(MAX_JOBS_PER_CLIENT):
            assert client.ask(submit_header())["type"] == "credit"
        assert client.ask(submit_header())["code"] == "queue_full"
        with daemon.client() as other:
            other.result(other.submit(8, 8))


def test_the_quota_refuses_before_the_pixels_come(make_daemon: Callable[..., RealDaemon]) -> None:
    daemon = make_daemon(spool_quota_mib=2)
    with daemon.client() as client:
        small = client.submit(256, 256)
        with pytest.raises(JobFailed) as failure:
            client.submit(1024, 1024)
        assert failure.value.code == "spool_full"
        client.result(small)
        client.forget(small)
        assert client.status()["spool_bytes"] == 0


def test_garbage_on_the_ports(shared_daemon: RealDaemon) -> None:
    """Bytes that are no ZMTP, connections that say nothing, connections that close at once."""
    import json

    port = int(json.loads(shared_daemon.place.read_text())["endpoints"][-1].rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f", os.urandom(5000), b""):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(data)
    with shared_daemon.client() as client:
        began_s = time.monotonic()
        client.result(client.submit(8, 8))
        assert time.monotonic() - began_s < 2
    for connection in silent:
        connection.close()
