# SPDX-License-Identifier: Apache-2.0
"""The session against a broker of pyzmq that does what the test says."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pid_client.job import Finished, JobSpec, PreviewImage, Receiving
from pid_client.session import Session
from pid_protocol.errors import (
    BadToken,
    Cancelled,
    ConnectionLost,
    DaemonNotRunning,
    InvalidImage,
    InvalidRequest,
    LocalProtocolError,
    OutOfMemory,
    PidError,
    QueueFull,
    RemoteProtocolError,
    TimedOut,
    UnknownJob,
    VersionMismatch,
)
from pid_protocol.limits import BAND_BYTES
from pid_protocol.messages import GetJobs, GetStatus, Jobs, Progress, Queued
from pid_protocol.pixels import PixelFormat
from tests.protocol.broker import Broker, Header

IMAGE = PixelFormat(640, 512)
PIXELS = os.urandom(IMAGE.num_bytes)


def connect(broker: Broker, timeout_s: float = 5.0) -> Session:
    return Session.connect(client="test", connection_file=broker.place, timeout_s=timeout_s)


def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)


def no_answer(*_: Any) -> None:
    pass


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_picture_goes_and_comes_back(tmp_path: Path, kind: str) -> None:
    with Broker(tmp_path, kind=kind) as broker, connect(broker) as session:
        job = session.submit(JobSpec("upscale", IMAGE, {"seed": 4}, title="Bärbel"), PIXELS)
        events = list(job.events(10))
        assert [type(event) for event in events if not isinstance(event, Receiving)] == [
            Queued,
            Progress,
            PreviewImage,
            Finished,
        ]
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.pixels == PIXELS and finished.image == IMAGE and finished.icc is None
        fractions = [event.fraction for event in events if isinstance(event, Receiving)]
        assert fractions == sorted(fractions) and fractions[-1] == 1.0
        assert events[2] == PreviewImage(2, 1, b"abcdef")
        job.forget()
        until(lambda: broker.of_type("forget"))
        submit = broker.of_type("submit")[0]
        assert submit["options"] == {"seed": 4} and submit["title"] == "Bärbel"
        assert broker.types == ["hello", "submit", "band", "credit", "forget"]


def test_bands_wait_for_credit_and_the_mask_follows_the_pixels(tmp_path: Path) -> None:
    image = PixelFormat(2048, 2048)  # 12 MiB and a mask of 4: more bands than the first credit
    pixels, mask = bytes(image.num_bytes), os.urandom(2048 * 2048)
    with Broker(tmp_path) as broker, connect(broker) as session:
        session.submit(JobSpec("enhance", image, mask=mask), pixels).wait(20)
        got = next(iter(broker.pixels.values()))
        assert bytes(got[image.num_bytes :]) == mask and not any(got[: image.num_bytes])
        assert (
            max(len(blobs[0]) for header, blobs in broker.received if header["type"] == "band")
            == BAND_BYTES
        )


def test_the_profile_travels_both_ways(tmp_path: Path) -> None:
    image = PixelFormat(4, 3, profile="icc")
    with Broker(tmp_path) as broker, connect(broker) as session:
        finished = session.submit(JobSpec("upscale", image, icc=b"my profile"), bytes(36)).wait(5)
        assert broker.received[1][1] == [b"my profile"]
        assert finished.icc == b"an icc profile"


def test_many_jobs_at_once_from_many_threads(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, connect(broker) as session:
        results: dict[int, bytes] = {}

        def work(number: int) -> None:
            job = session.submit(JobSpec("upscale", PixelFormat(50, 40)), bytes([number]) * 6000)
            results[number] = bytes(job.wait(10).pixels)
            job.forget()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {number: bytes([number]) * 6000 for number in range(20)}


def test_cancel_ends_the_job_and_nothing_else(tmp_path: Path) -> None:
    def start_only(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send({"type": "queued", "job": header["job"], "position": 1})

    with Broker(tmp_path, answers={"band": start_only}) as broker, connect(broker) as session:
        job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
        assert isinstance(job.next_event(5), Queued)
        job.cancel()
        with pytest.raises(Cancelled):
            job.wait(5)
        with pytest.raises(Cancelled):  # and again, for whoever asks again
            job.next_event()
        assert isinstance(session.request(GetJobs()), Jobs)


@pytest.mark.parametrize("has_job", [True, False])
def test_a_refused_submit_raises_where_the_job_is_waited_for(tmp_path: Path, has_job: bool) -> None:
    def refuse(broker: Broker, header: Header, _: list[bytes]) -> None:
        job = {"job": header["job"]} if has_job else {}
        broker.send(
            {
                "type": "error",
                "re": header["id"],
                "code": "queue_full",
                "message": "No.",
                "hint": "Wait.",
                **job,
            }
        )

    with Broker(tmp_path, answers={"submit": refuse}) as broker, connect(broker) as session:
        job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
        with pytest.raises(QueueFull) as caught:
            job.wait(5)
        assert caught.value.hint == "Wait."
        session.request(GetJobs())


def test_an_error_in_the_middle_of_the_upload_stops_it(tmp_path: Path) -> None:
    def fail(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send(
            {"type": "error", "job": header["job"], "code": "out_of_memory", "message": "M."}
        )

    image = PixelFormat(4096, 2048)  # six bands, credit for two
    with Broker(tmp_path, answers={"band": fail}) as broker, connect(broker) as session:
        with pytest.raises(OutOfMemory):
            session.submit(JobSpec("upscale", image), bytes(image.num_bytes)).wait(5)
        session.request(GetJobs())
        assert len(broker.of_type("band")) == 2


def test_requests_are_answered_refused_or_time_out(tmp_path: Path) -> None:
    def refuse(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send(
            {"type": "error", "re": header["id"], "code": "unknown_job", "message": "What?"}
        )

    answers = {"fetch": refuse, "get-status": no_answer}
    with Broker(tmp_path, answers=answers) as broker, connect(broker) as session:
        assert session.request(GetJobs()) == Jobs([])
        with pytest.raises(UnknownJob, match="What"):
            session.fetch("f" * 32)
        with pytest.raises(TimedOut, match="get-status"):
            session.request(GetStatus(), timeout_s=0.1)
        assert session.request(GetJobs()) == Jobs([])


def test_what_is_wrong_here_never_reaches_the_daemon(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, connect(broker) as session:
        with pytest.raises(InvalidRequest, match="scale is 9"):
            session.submit(JobSpec("upscale", IMAGE, {"scale": 9}), PIXELS)
        with pytest.raises(InvalidImage, match="983039"):
            session.submit(JobSpec("upscale", IMAGE), PIXELS[1:])
        with pytest.raises(InvalidImage, match="mask"):
            session.submit(JobSpec("upscale", IMAGE, mask=b"x"), PIXELS)
        with pytest.raises(InvalidImage, match="profile"):
            session.submit(JobSpec("upscale", IMAGE, icc=b"x"), PIXELS)
        with pytest.raises(LocalProtocolError, match="Unicode"):
            session.submit(JobSpec("upscale", IMAGE, {"prompt": "\udcff"}), PIXELS)
        session.request(GetJobs())
        assert broker.types == ["hello", "get-jobs"]


@pytest.mark.parametrize("title", ["a\udcffb.png", "Grüße 🎨"])
def test_any_file_name_can_be_a_title(tmp_path: Path, title: str) -> None:
    with Broker(tmp_path) as broker, connect(broker) as session:
        session.submit(JobSpec("upscale", PixelFormat(4, 4), title=title), bytes(48)).wait(5)
        assert broker.of_type("submit")[0]["title"] == title.replace("\udcff", "?")


def bad_band(offset: int, data: bytes) -> Callable[[Broker, Header, list[bytes]], None]:
    def answer(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send({"type": "band", "job": header["job"], "offset": offset}, data)

    return answer


@pytest.mark.parametrize("offset, num_bytes", [(1, 10), (0, 49), (0, 0)])
def test_bands_out_of_order_or_too_long_fail_that_job(
    tmp_path: Path, offset: int, num_bytes: int
) -> None:
    answers = {"credit": bad_band(offset, bytes(num_bytes))}
    with Broker(tmp_path, answers=answers) as broker, connect(broker) as session:
        job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
        with pytest.raises(RemoteProtocolError, match="band"):
            job.wait(5)
        session.request(GetJobs())


@pytest.mark.parametrize(
    "image",
    [
        {"width": 1 << 16, "height": 1 << 16},
        {"width": 0, "height": 4},
        {"width": 4, "height": 4, "profile": "icc"},
    ],
)
def test_an_absurd_result_fails_that_job(tmp_path: Path, image: Header) -> None:
    def answer(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send({"type": "result", "job": header["job"], "image": image, "record": {}})

    with Broker(tmp_path, answers={"band": answer}) as broker, connect(broker) as session:
        with pytest.raises(InvalidImage):
            session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48)).wait(5)
        session.request(GetJobs())


def test_a_lost_connection_ends_every_wait(tmp_path: Path) -> None:
    with Broker(tmp_path, answers={"band": no_answer, "get-status": no_answer}) as broker:
        with connect(broker) as session:
            job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
            asked: list[PidError] = []

            def ask() -> None:
                try:
                    session.request(GetStatus())
                except PidError as error:
                    asked.append(error)

            thread = threading.Thread(target=ask)
            thread.start()
            until(lambda: broker.of_type("get-status") and broker.of_type("band"))
            broker.stop()
            with pytest.raises(ConnectionLost) as caught:
                job.wait(5)
            assert "pid jobs" in caught.value.hint
            thread.join(5)
            assert isinstance(asked[0], ConnectionLost) and session.is_lost
            with pytest.raises(ConnectionLost):
                session.request(GetJobs())
            with pytest.raises(ConnectionLost):
                session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))


def test_a_result_is_fetched_over_another_connection(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        with connect(broker) as session:
            name = session.submit(JobSpec("upscale", IMAGE), PIXELS).id
            until(lambda: broker.of_type("credit"))
        with connect(broker) as session:
            assert session.fetch(name).wait(5).pixels == PIXELS


def test_the_last_words_are_heard(tmp_path: Path) -> None:
    with Broker(tmp_path, answers={"band": no_answer}) as broker:
        for number in range(1, 21):
            with connect(broker) as session:
                job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
                job.cancel()
            until(lambda number=number: len(broker.of_type("cancel")) == number)


def test_closing_ends_open_jobs_and_can_be_repeated(tmp_path: Path) -> None:
    with Broker(tmp_path, answers={"band": no_answer}) as broker:
        session = connect(broker)
        job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
        session.close()
        session.close()
        with pytest.raises(ConnectionLost):
            job.wait(5)


def test_ctrl_c_ends_a_wait_at_once_and_harms_nothing(tmp_path: Path) -> None:
    with Broker(tmp_path, answers={"band": no_answer}) as broker, connect(broker) as session:
        job = session.submit(JobSpec("upscale", PixelFormat(4, 4)), bytes(48))
        began_s = time.monotonic()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            job.wait(30)
        assert time.monotonic() - began_s < 10
        job.cancel()
        with pytest.raises(Cancelled):
            job.wait(5)


# --- who is there --------------------------------------------------------------------------------


def test_a_stranger_on_the_old_port_gets_no_pixels(tmp_path: Path) -> None:
    def pretend(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send(
            {
                "type": "welcome",
                "re": header["id"],
                "protocol": 1,
                "version": "0.1.0",
                "proof": bytes(32),
            }
        )

    with Broker(tmp_path, answers={"hello": pretend}, takes_all=True) as stranger:
        with pytest.raises(BadToken, match="cannot prove"):
            connect(stranger)
        time.sleep(0.05)
        assert stranger.types == ["hello"]
        assert stranger.token not in repr(stranger.received)


def test_another_token_is_refused_at_the_door(tmp_path: Path) -> None:
    with Broker(tmp_path, file={"token": "0" * 64}) as broker:
        with pytest.raises(BadToken, match="400"):
            connect(broker)
        assert broker.received == []


def test_versions_that_differ_are_named(tmp_path: Path) -> None:
    with Broker(tmp_path, file={"protocol": 2, "version": "9.8"}) as broker:
        with pytest.raises(VersionMismatch, match=r"9\.8.*protocol 2.*speaks 1"):
            connect(broker)
        assert broker.received == []


def test_a_daemon_that_finds_the_client_too_old_says_so(tmp_path: Path) -> None:
    def refuse(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.send(
            {"type": "error", "re": header["id"], "code": "version_mismatch", "message": "Old."}
        )

    with Broker(tmp_path, answers={"hello": refuse}) as broker:
        with pytest.raises(VersionMismatch, match="Old"):
            connect(broker)


def test_a_dead_daemons_file_means_that_none_runs(tmp_path: Path) -> None:
    with Broker(tmp_path, file={"protocol": 2}) as broker:
        pass
    with pytest.raises(DaemonNotRunning) as caught:
        connect(broker)
    assert "pid serve" in caught.value.hint


def test_whoever_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with Broker(tmp_path, file={"endpoints": [endpoint]}) as broker:
            began_s = time.monotonic()
            with pytest.raises(DaemonNotRunning, match="did not shake hands"):
                connect(broker, timeout_s=0.2)
            assert time.monotonic() - began_s < 2


def test_the_next_endpoint_is_tried(tmp_path: Path) -> None:
    with Broker(tmp_path, kind="tcp") as broker:
        text = broker.place.read_text()
        broker.place.write_text(text.replace('["tcp', f'["ipc://{tmp_path}/nobody", "tcp'))
        with connect(broker) as session:
            session.request(GetJobs())


def test_a_daemon_that_never_greets_is_given_up(tmp_path: Path) -> None:
    with Broker(tmp_path, answers={"hello": no_answer}) as broker:
        with pytest.raises(DaemonNotRunning, match="did not greet"):
            connect(broker, timeout_s=0.2)


def test_garbage_ends_the_session_in_words(tmp_path: Path) -> None:
    def garbage(broker: Broker, header: Header, _: list[bytes]) -> None:
        broker.socket.send_multipart([broker._identity, b"\xc1\xc1"])

    with Broker(tmp_path, answers={"get-status": garbage}) as broker, connect(broker) as session:
        with pytest.raises(ConnectionLost, match="0xc1"):
            session.request(GetStatus(), timeout_s=5)
