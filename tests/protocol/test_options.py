# SPDX-License-Identifier: Apache-2.0
"""The options table, and the texts that are made from what a job tells."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pid_client import texts
from pid_client.options import BY_NAME, KINDS, OPTIONS, changed, options_for, validated
from pid_protocol.errors import ERRORS_BY_CODE, InvalidRequest
from pid_protocol.messages import Plan, Progress
from pid_protocol.pixels import PixelFormat, Region


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_allowed_and_stay_off_the_wire(kind: str) -> None:
    values = validated(kind, {})
    assert set(values) == {row.name for row in options_for(kind)}
    assert changed(kind, values) == {} == changed(kind, {})
    for row in options_for(kind):
        assert type(values[row.name]) is row.type and values[row.name] == row.default


def test_rows_have_names_labels_and_help() -> None:
    assert len(BY_NAME) == len(OPTIONS)
    for row in OPTIONS:
        assert row.label and row.help.endswith("."), row.name
        assert row.name.isidentifier() and set(row.kinds) <= set(KINDS)
        assert (row.low is not None and row.high is not None) == (row.type in (int, float))
        assert not row.choices or row.default in row.choices
        if row.low is not None and row.high is not None:
            assert row.low <= row.default <= row.high


@pytest.mark.parametrize(
    "name, value",
    [
        ("scale", 8.01), ("scale", 0.99), ("scale", math.nan), ("scale", math.inf), ("scale", "4"),
        ("scale", True), ("seed", -1), ("seed", 1.0), ("seed", True), ("seed", None), ("steps", 5),
        ("engine", "magic"), ("engine", 3), ("prompt", "x" * 8_193), ("prompt", b"x"),
        ("colour_lock", 1), ("colour_lock", "yes"), ("scael", 4.0),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated("upscale", {name: value})
    assert name in str(caught.value)


def test_values_become_their_rows_type() -> None:
    values = validated("upscale", {"scale": 2, "width": 10, "height": 20, "engine": "identity"})
    assert values["scale"] == 2.0 and type(values["scale"]) is float
    assert changed("upscale", values) == {
        "scale": 2.0, "width": 10, "height": 20, "engine": "identity",
    }  # fmt: skip


@pytest.mark.parametrize("sides", [{"width": 100}, {"height": 100}])
def test_an_exact_size_needs_both_sides(sides: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match="both sides.*100"):
        validated("upscale", sides)


def test_there_are_two_kinds_and_enhancing_has_no_size() -> None:
    with pytest.raises(InvalidRequest, match="upscale, enhance"):
        validated("sharpen", {})
    with pytest.raises(InvalidRequest, match="scale"):
        validated("enhance", {"scale": 2.0})


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event, place, expected",
    [
        (Progress("j", "loading", 0.0), (0, 1), "Loading the model"),
        (Progress("j", "tile", 0.1, 3, 12, 41.6), (0, 1), "Upscaling, part 3 of 12 – 42 s left"),
        (
            Progress("j", "step", 0.1, 2, 4, 300.0),
            (1, 3),
            "Denoising, step 2 of 4 – layer 2 of 3 – 5 min left",
        ),
        (Progress("j", "tile", 0.1, 1, 1, 0.3), (0, 1), "Upscaling"),
        (Progress("j", "novelty", 0.1), (0, 1), "Novelty"),
    ],
)  # fmt: skip
def test_progress_in_words(event: Progress, place: tuple[int, int], expected: str) -> None:
    assert texts.progress(event, *place) == expected


def test_queue_plan_names_and_times_in_words() -> None:
    assert [texts.queued(n) for n in (0, 1, 3)] == [
        "Starting",
        "Next in the queue",
        "Queued, number 3",
    ]
    assert [texts.duration(s) for s in (0.1, 1, 89, 91, 7200)] == [
        "less than a second", "1 s", "89 s", "2 min", "2.0 h",
    ]  # fmt: skip
    plan = Plan(2048, 1024, "compact", 12, 7.4, 2_500_000_000, 9_000_000_000)
    assert texts.plan_line(plan) == (
        "2048 × 1024 px, compact, 12 tiles, about 7 s, 2.5 GB of 9.0 GB free"
    )
    part = Region(0, 0, 100, 50)
    assert texts.result_name("Sky", "grow", PixelFormat(250, 125), part) == "Sky (PiD 2.5x)"
    assert texts.result_name("Sky", "same-size", PixelFormat(100, 50), part) == "Sky (PiD enhanced)"


def test_every_error_has_a_title_and_its_remedy() -> None:
    for cls in ERRORS_BY_CODE.values():
        title, body = texts.error_box(cls("It broke.", "Mend it."))
        assert title and body == "It broke.\n\nMend it."
        assert texts.error_box(cls("It broke."))[1] == "It broke."
