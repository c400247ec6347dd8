# SPDX-License-Identifier: Apache-2.0
"""Requests that go well, on the wire of a real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.daemon.raw_client import JobFailed, RawClient, new_job
from tests.daemon.real_daemon import RealDaemon

PICTURE = {"width": 100, "height": 50}


@pytest.fixture
def client(shared_daemon: RealDaemon):
    with shared_daemon.client() as client:
        yield client


def test_a_plan_says_size_and_cost_and_does_nothing(client: RawClient) -> None:
    before = client.status()["jobs"]
    options = {"scale": 3.0, "engine": "compact"}
    plan = client.ask({"type": "get-plan", "kind": "upscale", "image": PICTURE, "options": options})
    assert (plan["width"], plan["height"], plan["engine"]) == (300, 150, "compact")
    assert plan["tiles"] >= 1 and plan["expected_s"] > 0
    assert 0 < plan["expected_bytes"] < plan["free_bytes"]
    assert client.status()["jobs"] == before


def test_the_status_names_worker_and_places(client: RawClient, shared_daemon: RealDaemon) -> None:
    status = client.status()
    assert status["pid"] == shared_daemon.process.pid  # type: ignore[union-attr]
    assert status["paths"]["log"] == str(shared_daemon.log)
    assert status["paths"]["spool"] == str(shared_daemon.spool)
    (worker,) = status["workers"]
    assert worker["device"] == "cpu"
    assert "compact" in worker["engine"]
    assert worker["resident_bytes"] > 1_000_000
    assert 0 < worker["expires_s"] <= 300


@pytest.mark.parametrize("name", ["cancel", "fetch", "forget"])
def test_a_job_that_is_not_kept(client: RawClient, name: str) -> None:
    assert client.ask({"type": name, "job": new_job()})["code"] == "unknown_job"


def test_pixels_pass_unchanged_in_every_format(client: RawClient) -> None:
    for channels, samples in (("gray", 1), ("gray-alpha", 2), ("rgb", 3), ("rgba", 4)):
        pixels = os.urandom(33 * 17 * samples)
        job = client.submit(33, 17, channels=channels, pixels=pixels)
        assert client.result(job)[1] == pixels
        client.forget(job)


def test_a_mask_follows_the_pixels_and_the_answer_gains_alpha(client: RawClient) -> None:
    pixels, mask = os.urandom(20 * 10 * 3), bytes([255]) * 200
    job = client.submit(20, 10, pixels=pixels + mask, mask=True, options={"feather": 0})
    header, answer = client.result(job)
    assert header["image"]["channels"] == "rgba"
    assert answer[3::4] == mask
    assert bytes(v for i, v in enumerate(answer) if i % 4 != 3) == pixels
    client.forget(job)


def test_a_region_is_answered_alone(client: RawClient) -> None:
    region = {"x": 3, "y": 2, "width": 5, "height": 4}
    pixels = bytes(range(200))
    job = client.submit(20, 10, channels="gray", pixels=pixels, region=region)
    rows = [pixels[y * 20 + 3 : y * 20 + 8] for y in range(2, 6)]
    assert client.result(job)[1] == b"".join(rows)
    client.forget(job)


def test_another_connection_can_follow_and_fetch(
    client: RawClient, shared_daemon: RealDaemon
) -> None:
    job = client.submit(64, 64, kind="upscale", engine="compact", title="a layer")
    with shared_daemon.client() as other:
        assert other.ask({"type": "fetch", "job": job})["type"] == "ok"
        assert other.result(job)[1] == client.result(job)[1]
        (row,) = [r for r in other.ask({"type": "get-jobs"})["jobs"] if r["job"] == job]
        assert (row["title"], row["state"], row["client"]) == ("a layer", "done", "test")
        other.forget(job)
    assert client.ask({"type": "forget", "job": job})["code"] == "unknown_job"


def test_what_is_interactive_goes_first(client: RawClient) -> None:
    blocker = client.submit(300, 300, kind="upscale", engine="compact")
    late = [client.submit(8, 8, priority="batch") for _ in range(3)]
    first = client.submit(8, 8)
    order: list[str] = []
    while len(order) < 5:
        header, _ = client.receive(120)
        if header["type"] == "result":
            order.append(header["job"])
    assert order == [blocker, first, *late]
    for job in order:
        client.forget(job)


def test_weights_are_names_and_never_paths(client: RawClient) -> None:
    for weights in ("/etc/passwd", "../secret", "nothing-of-that-name"):
        with pytest.raises(JobFailed) as failure:
            client.submit(
                8, 8, kind="upscale", engine="pid", options={"weights": weights, "scale": 4.0}
            )
        assert failure.value.code in ("checkpoint_missing", "licence_not_accepted")


def test_only_licences_that_exist_are_accepted(make_daemon: Callable[..., RealDaemon]) -> None:
    daemon = make_daemon()
    with daemon.client() as client:
        refused = client.ask({"type": "accept-licence", "licence": "any"})
        assert refused["code"] == "invalid_request"
        assert not (daemon.folder / "config.toml").exists()
        assert client.ask({"type": "accept-licence", "licence": "NSCLv1"})["type"] == "ok"
    assert "NSCLv1" in (daemon.folder / "config.toml").read_text()


def test_the_same_job_gives_the_same_bytes(client: RawClient) -> None:
    pixels = os.urandom(48 * 40 * 3)
    answers: list[bytes] = []
    for _ in range(2):
        job = client.submit(48, 40, pixels=pixels, kind="upscale", engine="compact")
        answers.append(client.result(job)[1])
        client.forget(job)
    assert answers[0] == answers[1]
