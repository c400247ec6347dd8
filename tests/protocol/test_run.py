# SPDX-License-Identifier: Apache-2.0
"""The use case of both editors: a fake editor, a real session, a scripted broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pid_client.cut import Cut, cut_for
from pid_client.editor import Source
from pid_client.job import Finished, PreviewImage
from pid_client.run import Committed, Update, plan, recover, run, try_spot
from pid_client.session import Session
from pid_protocol.errors import (
    ConnectionLost,
    InvalidImage,
    InvalidRequest,
    OutOfMemory,
    RemoteProtocolError,
    UnknownJob,
)
from pid_protocol.messages import GetJobs
from pid_protocol.pixels import PixelFormat, Region
from tests.protocol.broker import Broker, Header
from tests.protocol.fake_editor import FakeEditor

WAIT_S = 0.02


def connect(broker: Broker) -> Session:
    return Session.connect(client="test", connection_file=broker.place)


def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)


def upscaled(editor: FakeEditor, session: Session, **options: Any) -> Iterator[Any]:
    return run(editor, session, "upscale", options, wait_s=WAIT_S)


def committed(events: list[Any]) -> Committed:
    assert isinstance(events[-1], Committed)
    return events[-1]


def test_a_layer_is_read_sent_followed_and_placed(tmp_path: Path) -> None:
    editor = FakeEditor((31, 17))
    with Broker(tmp_path, factor=2) as broker, connect(broker) as session:
        events = list(upscaled(editor, session, scale=2, prompt="a hut", seed=3, keep_source=False))
        (placed,) = committed(events).results
        assert editor.committed == ("new-image", [placed])
        assert placed.name == "L0 (PiD 2x)" and placed.region is None
        assert placed.factors == (2.0, 2.0) and placed.kind == "upscale"
        expected = editor.array("L0").repeat(2, 0).repeat(2, 1).tobytes()
        assert bytes(placed.finished.pixels) == expected
        assert placed.options["seed"] == 3 and placed.options["keep_source"] is False
        assert PreviewImage(2, 1, b"abcdef") in events
        updates = [event for event in events if isinstance(event, Update)]
        fractions = [update.fraction for update in updates]
        assert fractions == sorted(fractions) and fractions[-1] == 1.0
        told = [update.text for update in updates]
        assert told[0] == "Reading the layer" and told[-1] == "Putting the result in place"
        assert "Upscaling, part 1 of 2 – 3 s left" in told and "Receiving the result" in told
        until(lambda: broker.of_type("forget"))
        submit = broker.of_type("submit")[0]
        assert submit["kind"] == "upscale" and submit["title"] == "L0"
        assert submit["options"] == {"scale": 2.0, "prompt": "a hut", "seed": 3}


def test_a_selection_is_sent_with_context_and_answered_without(tmp_path: Path) -> None:
    editor = FakeEditor((90, 80), selection=Region(30, 2, 20, 10))
    with Broker(tmp_path) as broker, connect(broker) as session:
        options = {"padding": 16, "feather": 4}
        events = list(run(editor, session, "enhance", options, wait_s=WAIT_S))
        (placed,) = committed(events).results
        assert placed.region == Region(26, 0, 28, 16)
        assert placed.name == "L0 (PiD enhanced)" and placed.factors == (1.0, 1.0)
        expected = editor.array("L0")[0:16, 26:54].tobytes()
        assert bytes(placed.finished.pixels) == expected
        submit = broker.of_type("submit")[0]
        assert submit["image"]["width"] == 60 and submit["image"]["height"] == 32
        assert submit["region"] == {"x": 16, "y": 0, "width": 28, "height": 16}
        assert submit["mask"] is True and submit["options"] == {"feather": 4}
        sent = next(iter(broker.pixels.values()))
        assert len(sent) == 60 * 32 * 4 and set(sent[60 * 32 * 3 :]) == {0x80}


def test_an_upscale_at_the_same_size_is_an_enhancement(tmp_path: Path) -> None:
    editor = FakeEditor((12, 10))
    with Broker(tmp_path) as broker, connect(broker) as session:
        list(upscaled(editor, session, placement="same-size", scale=3, repair=0.5))
        submit = broker.of_type("submit")[0]
        assert submit["kind"] == "enhance" and submit["options"] == {"repair": 0.5}
        assert editor.committed and editor.committed[0] == "same-size"


def test_several_layers_are_committed_once_with_one_factor(tmp_path: Path) -> None:
    editor = FakeEditor((40, 20), (10, 20), (8, 8))
    with Broker(tmp_path, factor=3) as broker, connect(broker) as session:
        events = list(upscaled(editor, session, longest=120, placement="grow"))
        results = committed(events).results
        assert [placed.source.name for placed in results] == ["L0", "L1", "L2"]
        assert [placed.finished.image.width for placed in results] == [120, 30, 24]
        assert {submit["options"]["scale"] for submit in broker.of_type("submit")} == {3.0}
        assert any("layer 2 of 3" in event.text for event in events if isinstance(event, Update))
        until(lambda: len(broker.of_type("forget")) == 3)


def test_an_exact_size_of_several_layers_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    editor = FakeEditor((40, 20), (10, 20))
    with Broker(tmp_path) as broker, connect(broker) as session:
        with pytest.raises(InvalidRequest, match="one layer only"):
            list(upscaled(editor, session, width=50, height=50))
        editor.refusal = InvalidImage("The layer L0 is locked.")
        with pytest.raises(InvalidImage, match="locked"):
            list(upscaled(editor, session))
        assert editor.num_read == 0 and broker.types == ["hello"]


def test_cancelling_at_any_point_leaves_the_document_alone(tmp_path: Path) -> None:
    with Broker(tmp_path, factor=2) as broker, connect(broker) as session:
        num_steps = len(list(upscaled(FakeEditor((9, 20), (5, 5)), session, scale=2)))
        assert num_steps > 10

        def num_open() -> int:
            ended = len(broker.of_type("cancel")) + len(broker.of_type("forget"))
            return len(broker.of_type("submit")) - ended

        until(lambda: num_open() == 0)
        for step in range(num_steps - 2):  # the last two: placed already
            editor = FakeEditor((9, 20), (5, 5))
            events = upscaled(editor, session, scale=2)
            for _ in range(step):
                event = next(events)
                if isinstance(event, Update) and event.text == "Putting the result in place":
                    break
            events.close()  # type: ignore[attr-defined]
            assert editor.committed is None
            session.request(GetJobs())
            assert num_open() == 0


def test_an_error_of_one_job_cancels_the_others(tmp_path: Path) -> None:
    def fail(broker: Broker, header: Header, _: list[bytes]) -> None:
        if header["job"] == broker.of_type("submit")[0]["job"]:
            error = {"type": "error", "code": "out_of_memory", "message": "Too large."}
            broker.send({**error, "job": header["job"]})

    editor = FakeEditor((9, 20), (5, 5))
    with Broker(tmp_path, answers={"band": fail}) as broker, connect(broker) as session:
        with pytest.raises(OutOfMemory):
            list(upscaled(editor, session))
        assert editor.committed is None
        until(lambda: broker.of_type("cancel"))
        assert broker.of_type("cancel")[0]["job"] == broker.of_type("submit")[1]["job"]


def test_a_result_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    editor = FakeEditor((9, 20))
    with Broker(tmp_path, factor=2) as broker, connect(broker) as session:
        with pytest.raises(RemoteProtocolError, match="18 x 40 px; 27 x 60 was asked for"):
            list(upscaled(editor, session, scale=3))
        assert editor.committed is None


def test_a_result_that_cannot_be_placed_is_kept(tmp_path: Path) -> None:
    editor = FakeEditor((9, 20))
    editor.commit_error = InvalidImage("The document was closed meanwhile.")
    with Broker(tmp_path, factor=4) as broker, connect(broker) as session:
        with pytest.raises(InvalidImage, match="closed meanwhile"):
            list(upscaled(editor, session))
        assert not broker.of_type("forget")
        editor.commit_error = None
        events = list(recover(editor, session, wait_s=WAIT_S))
        (placed,) = committed(events).results
        assert editor.committed == ("new-image", [placed]) and placed.name == "T"
        assert placed.finished.image == PixelFormat(36, 80)
        until(lambda: broker.of_type("forget"))


def test_there_may_be_nothing_to_recover(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, connect(broker) as session:
        with pytest.raises(UnknownJob, match="no finished result"):
            list(recover(FakeEditor(), session))


def test_a_lost_connection_leaves_the_document_alone(tmp_path: Path) -> None:
    def nothing(*_: Any) -> None:
        pass

    editor = FakeEditor((9, 20), (5, 5))
    with Broker(tmp_path, answers={"band": nothing}) as broker, connect(broker) as session:
        events = upscaled(editor, session)
        for _ in range(7):
            next(events)
        broker.stop()
        with pytest.raises(ConnectionLost) as caught:
            for _ in events:
                pass
        assert "recover" in caught.value.hint and editor.committed is None


@pytest.mark.parametrize(
    "placement, kind, factor", [("grow", "upscale", 2), ("same-size", "enhance", 1)]
)
def test_a_spot_is_worked_on_at_the_whole_pictures_scale(
    tmp_path: Path, placement: str, kind: str, factor: int
) -> None:
    source = Source(None, "L", PixelFormat(16, 16))
    options = {"scale": 2, "longest": 9_000, "placement": placement, "padding": 3}
    with Broker(tmp_path, factor=factor) as broker, connect(broker) as session:
        *_, last = try_spot(session, source, bytes(768), "upscale", options, wait_s=WAIT_S)
        assert isinstance(last, Finished) and last.image.width == 16 * factor
        submit = broker.of_type("submit")[0]
        assert submit["kind"] == kind
        assert submit.get("options", {}) == ({"scale": 2.0} if kind == "upscale" else {})
        until(lambda: broker.of_type("forget"))


def test_a_plan_is_asked_for_what_would_be_sent(tmp_path: Path) -> None:
    def answer(broker: Broker, header: Header, _: list[bytes]) -> None:
        numbers = {"tiles": 2, "expected_s": 1.5, "expected_bytes": 5, "free_bytes": 9}
        size = {"width": 8, "height": 6, "engine": "compact"}
        broker.send({"type": "plan", "re": header["id"], **size, **numbers})

    source = Source(None, "L", PixelFormat(100, 100))
    with Broker(tmp_path, answers={"get-plan": answer}) as broker, connect(broker) as session:
        made = plan(
            session,
            source,
            Region(40, 40, 10, 10),
            "enhance",
            {"padding": 5, "feather": 2, "repair": 1},
        )
        assert made.tiles == 2 and made.engine == "compact"
        asked = broker.of_type("get-plan")[0]
        assert asked["kind"] == "enhance"
        assert asked["options"]["repair"] == 1.0 and asked["options"]["feather"] == 2
        assert not {"padding", "placement", "keep_source"} & set(asked["options"])
        assert asked["image"]["width"] == 24
        assert asked["region"] == {"x": 5, "y": 5, "width": 14, "height": 14}


@given(
    st.integers(1, 300), st.integers(1, 300), st.data(), st.integers(0, 1024), st.integers(0, 256)
)
def test_cuts_stay_inside_the_layer(
    width: int, height: int, data: st.DataObject, padding: int, feather: int
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    part = Region(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    cut = cut_for(PixelFormat(width, height), part, padding, feather)
    assert cut.is_masked and cut.region is not None
    for outer, inner in (
        (Region(0, 0, width, height), cut.crop),
        (cut.crop, cut.answered),
        (cut.answered, part),
    ):
        assert outer.x <= inner.x and outer.y <= inner.y
        assert inner.x + inner.width <= outer.x + outer.width
        assert inner.y + inner.height <= outer.y + outer.height
    assert cut_for(PixelFormat(width, height), None, padding, feather) == Cut(
        Region(0, 0, width, height), None, False
    )
