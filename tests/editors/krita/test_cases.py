# SPDX-License-Identifier: Apache-2.0
"""Both actions on pictures and layers of every kind, with the engine `identity`: its answer at the
same size is the source, byte for byte, so that every shift, swap or conversion shows.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.editors.krita.conftest import Krita

KEPT_AS_THEY_ARE = (
    *("plain", "picture_1x1", "picture_7x5", "picture_gray"),
    *("u16", "f16", "f32_linear", "gray16", "adobe_rgb"),
    *("offset_layer", "group", "masked_layer", "several_layers"),
)
REFUSED = {
    "mask_chosen": "not a layer",
    "locked": "locked",
    "empty": "no pixels",
    "selection_outside": "lies outside",
}
OTHERS = (
    *("cmyk", "lab", "selection_inside", "grow"),
    *("new_image_and_two_documents", "document_closed_mid_job"),
)


@pytest.fixture(scope="module")
def report(krita: Krita) -> dict[str, Any]:
    """All cases, in one Krita."""
    names = (*KEPT_AS_THEY_ARE, *REFUSED, *OTHERS)
    return krita.drive("inside_cases.py", 600, CASES=" ".join(names))


@pytest.mark.parametrize("name", KEPT_AS_THEY_ARE)
def test_comes_back_in_place_byte_for_byte(report: dict[str, Any], name: str) -> None:
    found = report[name]
    assert "failed" not in found, found["failed"]
    assert found["same_bytes"]
    assert found["is_above"]
    assert found["others_same"]
    assert found["is_shown"]
    source, new = found["source"], found["new"]
    assert new["name"] == source["name"] + " (PiD enhanced)"
    for key in ("model", "depth", "profile", "blend", "opacity"):
        assert new[key] == source[key], key


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_words(report: dict[str, Any], name: str) -> None:
    found = report[name]
    assert "failed" not in found, found["failed"]
    assert found["count"] == 0
    assert REFUSED[name] in " ".join(found["said"])


def test_one_undo_takes_it_back_and_redo_brings_it_again(report: dict[str, Any]) -> None:
    found = report["plain"]
    assert len(found["after_undo"]) == 1
    assert found["after_redo"] == [found["source"]["name"], found["new"]["name"]]
    assert found["redo_bytes"]
    assert "pid-record" in found["annotation"]


def test_blend_mode_costs_no_second_undo(report: dict[str, Any]) -> None:
    assert report["offset_layer"]["after_undo"][-1] == "far"


@pytest.mark.parametrize("name", ["cmyk", "lab"])
def test_other_models_are_read_through_a_copy(report: dict[str, Any], name: str) -> None:
    found = report[name]
    assert "failed" not in found, found["failed"]
    assert found["others_same"]
    assert found["is_above"]
    assert found["new"]["model"] == "RGBA"
    assert found["new"]["box"] == found["source"]["box"]


def test_selection_limits_the_result_and_fades(report: dict[str, Any]) -> None:
    found = report["selection_inside"]
    assert found["middle"][:3] == found["middle_source"][:3]
    assert found["middle"][3] == 255
    assert 0 < found["edge"][3] < 255
    assert found["outside"][3] == 0
    x, y, width, height = found["new"]["box"]
    assert 94 <= x <= 106 and 114 <= y <= 126
    assert 68 <= width <= 92 and 48 <= height <= 72


def test_grow_scales_the_image_and_keeps_the_places(report: dict[str, Any]) -> None:
    found = report["grow"]
    assert found["size"] == [128, 96]
    source, new, other = found["nodes"]
    assert new["name"] == source["name"] + " (PiD 2x)"
    assert new["box"] == [0, 0, 128, 96]
    assert other["name"] == "other"
    assert other["box"][:2] == pytest.approx([8, 8], abs=3)
    assert found["undo_two"][0] == 64
    assert len(found["undo_two"][1]) == 2


def test_result_goes_to_where_the_run_began(report: dict[str, Any]) -> None:
    found = report["new_image_and_two_documents"]
    assert found["made"][:2] == [640, 768]
    assert found["made"][2].endswith("(PiD 2x)")
    assert found["made"][3] == found["source_resolution"]
    assert (found["first"], found["second"]) == (1, 1)


def test_result_of_a_closed_document_waits_and_is_recovered(report: dict[str, Any]) -> None:
    found = report["document_closed_mid_job"]
    assert "failed" not in found, found["failed"]
    assert "can be recovered" in " ".join(found["said"])
    assert found["waiting"] == ["Recover: Background"]
    assert found["recovered"] == [320, 384, ["Background"]]
    assert found["left"] == 0
