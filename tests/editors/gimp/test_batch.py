# SPDX-License-Identifier: Apache-2.0
"""The procedures as scripts call them: one GIMP carries out all cases, this judges the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.daemon.real_daemon import RealDaemon
from tests.editors.gimp.profile import Gimp

TYPES = {"u8": np.uint8, "u16": np.uint16, "half": np.float16, "float": np.float32, "double": float}
CHANNELS = {"R": 3, "Y": 1}


def pixels(dumped: dict[str, Any]) -> np.ndarray:
    """What `inside.dump` left: height x width x channels."""
    model, _, kind = dumped["format"].rpartition(" ")
    channels = CHANNELS[model[0]] + model.endswith("A")
    return np.fromfile(dumped["file"], TYPES[kind]).reshape(*dumped["shape"], channels)


def others(state: dict[str, Any], *without: int) -> list[dict[str, Any]]:
    """All layers but these."""
    return [layer for layer in state["layers"] if layer["id"] not in without]


def area_mean(picture: np.ndarray, factor: int) -> np.ndarray:
    """Each block of factor x factor as one pixel."""
    height, width, channels = picture.shape
    blocks = picture.astype(float).reshape(
        height // factor, factor, width // factor, factor, channels
    )
    return blocks.mean((1, 3))


@pytest.fixture(scope="session")
def cases(gimp: Gimp, daemon: RealDaemon) -> dict[str, Any]:
    """All reports by name."""
    with daemon.client() as client:  # what `recover` will find
        client.submit(7, 5, kind="upscale", engine="identity", detached=True)
    return gimp.cases()


@pytest.fixture
def report(request: pytest.FixtureRequest, cases: dict[str, Any]) -> dict[str, Any]:
    """The report that a test's name asks for."""
    return cases[request.param]


def of(*names: str) -> pytest.MarkDecorator:
    """Run a test on the reports of these cases."""
    return pytest.mark.parametrize("report", names, indirect=True)


DONE_IN_PLACE = (
    "same_size", "u16", "u16_linear", "u8_perceptual", "half", "float_linear", "double",
    "adobe_rgb", "gray_alpha", "beyond_the_canvas", "masked", "group", "in_a_group", "filtered",
    "filtered_group", "filter_that_grows", "text", "floating", "wide", "nothing_selected",
    "selected",
)  # fmt: skip
NEW_IMAGES = (
    "new_image", "longest_side", "ramp16", "float_linear_upscale", "adobe_rgb_new_image",
    "indexed_new_image", "tiny", "odd", "several_new_image", "last_values", "recover",
)  # fmt: skip
GROWN = ("grow", "beyond_the_canvas_grow", "masked_grow", "several")
REFUSED = {
    "selected_outside": "The selection lies outside the layer pattern.png.",
    "mask_active": "is a mask or a channel, not a layer",
    "channel_active": "is a mask or a channel, not a layer",
    "locked": "The layer pattern.png is locked.",
    "empty": "The layer nothing has no pixels.",
    "engine_unknown": "no such weights",
    "too_large": "40000 x 2400 px or less",
}
EXACT = (
    "u16", "u16_linear", "u8_perceptual", "half", "float_linear", "adobe_rgb", "gray_alpha",
    "beyond_the_canvas", "masked", "in_a_group", "wide", "nothing_selected",
)  # fmt: skip


# --- the document ---------------------------------------------------------------------------------


@of(*DONE_IN_PLACE)
def test_in_place_adds_one_layer_and_changes_nothing_else(report: dict[str, Any]) -> None:
    assert report["status"] == "success", report["message"]
    before, after = report["before"], report["after"]
    (made,) = report["made"]
    assert others(after, made["id"]) == before["layers"]
    assert {**after, "layers": 0} == {**before, "layers": 0}
    assert not report["is_new"]
    assert made["name"].endswith(" (PiD enhanced)")


@of(*NEW_IMAGES)
def test_a_new_image_leaves_the_old_one_alone(report: dict[str, Any]) -> None:
    assert report["status"] == "success", report["message"]
    assert report["after"] == report["before"]
    assert report["is_new"]


@of("new_image", "ramp16", "float_linear_upscale", "adobe_rgb_new_image", "several_new_image")
def test_a_new_image_has_the_old_one_s_profile_depth_and_resolution(
    report: dict[str, Any],
) -> None:
    for key in ("profile", "precision", "resolution", "base"):
        assert report["target"][key] == report["before"][key], key


@of(*REFUSED)
def test_refusals_say_why_and_change_nothing(
    report: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    assert report["status"] == "execution-error"
    assert REFUSED[request.node.callspec.id] in report["message"]
    assert report["after"] == report["before"]


@of("grow")
def test_grow_scales_the_image_and_places_the_result_above_its_source(
    report: dict[str, Any],
) -> None:
    made, source, photo = report["after"]["layers"]
    assert report["after"]["size"] == [640, 768]
    assert photo["size"] == [640, 768]
    assert (source["size"], source["offset"]) == ([128, 96], [100, 80])
    assert (made["size"], made["offset"]) == ([128, 96], [100, 80])
    assert (made["mode"], made["opacity"]) == ("multiply", 60.0)
    assert made["name"] == "pattern.png (PiD 2x)"


@of(*GROWN)
def test_grown_results_lie_on_their_scaled_sources(report: dict[str, Any]) -> None:
    """GIMP rounds the scaled edges of a layer, so a pixel's difference is allowed."""
    assert report["status"] == "success", report["message"]
    made_ids = [one["id"] for one in report["made"]]
    for made in report["made"]:
        source = next(
            one
            for one in others(report["after"], *made_ids)
            if made["name"].startswith(one["name"])
        )
        near = np.abs(np.subtract(made["offset"] + made["size"], source["offset"] + source["size"]))
        assert near.max() <= 1, (made, source)


@of("several")
def test_several_layers_each_get_their_result_above(report: dict[str, Any]) -> None:
    names = [layer["name"] for layer in report["after"]["layers"]]
    assert names == ["pattern.png (PiD 2x)", "pattern.png", "Background (PiD 2x)", "Background"]


@of("several_new_image")
def test_several_layers_keep_their_places_in_a_new_image(report: dict[str, Any]) -> None:
    assert report["target"]["size"] == [640, 768]
    assert [layer["offset"] for layer in report["target"]["layers"]] == [[100, 80], [0, 0]]


@of("in_a_group")
def test_a_layer_of_a_group_gets_its_result_inside(report: dict[str, Any]) -> None:
    assert [one["parent"] for one in report["made"]] == ["things"]
    names = [layer["name"] for layer in report["after"]["layers"]]
    assert names.index("pattern.png (PiD enhanced)") == names.index("pattern.png") - 1


@of("source_hidden")
def test_the_source_is_hidden_on_request_and_the_settings_are_kept(report: dict[str, Any]) -> None:
    made, source, photo = report["after"]["layers"]
    assert [one["visible"] for one in (made, source, photo)] == [True, False, True]
    note = report["note"]
    assert note["kind"] == "upscale"
    assert (note["options"]["seed"], note["options"]["prompt"]) == (7, "grüße")
    assert note["record"]["engine"] == "identity"


@of("indexed")
def test_indexed_colours_become_rgb_and_that_is_said(
    report: dict[str, Any], cases: dict[str, Any]
) -> None:
    assert report["after"]["base"] == "rgb"
    assert "converted from indexed" in cases["said"]
    indexed, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert np.array_equal(indexed[..., :3], made[..., :3])


# --- the pixels -----------------------------------------------------------------------------------


@of(*EXACT)
def test_the_image_s_own_numbers_make_the_round_trip(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert report["sources"][0]["format"] == report["pixels"][0]["format"]
    assert np.array_equal(source, made)
    assert report["made"][0]["offset"] == _source(report)["offset"]


@of("double")
def test_doubles_travel_as_floats(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert np.abs(source - made).max() < 1e-7


@of("masked")
def test_mode_opacity_and_mask_are_the_source_s(report: dict[str, Any]) -> None:
    (made,) = report["made"]
    source = _source(report)
    for key in ("mode", "opacity", "mask", "offset", "size"):
        assert made[key] == source[key], key


@of("masked_grow")
def test_a_mask_grows_with_its_layer(report: dict[str, Any]) -> None:
    mask = pixels(report["masks"][0])[..., 0].astype(int)
    assert mask.shape == (96, 128)
    assert np.abs(mask - 2 * np.arange(128)).max() <= 4


@of("group", "filtered_group", "text", "floating")
def test_what_is_seen_of_special_layers_is_what_is_worked_on(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    visible = made[..., 3] > 0
    expected = source[..., :3]
    if "filtered" in report["pixels"][0]["file"]:
        expected = 255 - expected
    assert np.array_equal(source[..., 3], made[..., 3])
    worst = np.abs(expected.astype(int) - made[..., :3])[visible]
    assert worst.max() <= 1


@of("link")
def test_a_link_layer_is_worked_on_by_its_pixels(report: dict[str, Any]) -> None:
    if report["status"] == "unknown here":
        pytest.skip("This GIMP has no link layers; 3.2 has.")
    assert report["status"] == "success", report["message"]
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert np.array_equal(source, made)
    assert report["made"][0]["offset"] == [30, 20]


@of("filtered")
def test_filters_are_part_of_what_is_seen(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert np.abs(255 - source[..., :3].astype(int) - made[..., :3]).max() <= 1
    assert _source(report)["filters"] == 1
    assert report["made"][0]["filters"] == 0


@of("filter_that_grows")
def test_a_filter_that_draws_outside_its_layer_is_seen_whole(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    left, top = np.subtract(_source(report)["offset"], report["made"][0]["offset"])
    inside = made[top : top + 48, left : left + 64]
    opaque = source[..., 3] == 255
    assert np.array_equal(inside[opaque], source[opaque])
    assert made[..., 3].any(axis=1).sum() > 48


@of("selected")
def test_a_selection_s_result_covers_only_what_is_selected(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    coverage = pixels(report["coverage"])[120:180, 100:180, 0]
    assert report["made"][0]["offset"] == [100, 120]
    assert made.shape == (60, 80, 4)
    assert np.abs(made[..., 3].astype(int) - coverage).max() <= 1
    opaque = made[..., 3] > 0
    assert np.array_equal(made[..., :3][opaque], source[120:180, 100:180][opaque])


@of("selected_grow")
def test_a_selection_s_result_grows_in_its_place(report: dict[str, Any]) -> None:
    assert report["after"]["size"] == [640, 768]
    assert (report["made"][0]["offset"], report["made"][0]["size"]) == ([202, 242], [160, 120])


@of("ramp16")
def test_a_16_bit_ramp_keeps_its_levels(report: dict[str, Any]) -> None:
    made = pixels(report["pixels"][0])
    assert made.dtype == np.uint16
    assert len(np.unique(made)) >= 4096
    difference = area_mean(made, 2) - pixels(report["sources"][0])
    assert np.abs(difference[4:-4, 4:-4]).max() < 65535 * 0.004


@of("float_linear_upscale")
def test_values_above_one_survive(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert source[..., 0].max() > 0.15 * made[..., 0].max()
    assert made[..., 0].max() > 0.8 * source[..., 0].max()


@of("adobe_rgb_new_image")
def test_a_profile_goes_along_byte_by_byte(report: dict[str, Any]) -> None:
    assert report["target"]["profile"] == report["before"]["profile"]
    assert report["target"]["profile"] is not None


@of("new_image", "same_size")
def test_the_built_in_engine_is_faithful_and_not_the_identity(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    factor = made.shape[0] // source.shape[0]
    small = area_mean(made, factor)
    mean_square = np.mean((small - source) ** 2)
    assert 10 * np.log10(255**2 / mean_square) > 30
    assert not np.array_equal(np.rint(small), source)


@of("tiny", "odd")
def test_alpha_of_the_smallest_pictures_is_kept(report: dict[str, Any]) -> None:
    source, made = pixels(report["sources"][0]), pixels(report["pixels"][0])
    assert made.shape[:2] == (source.shape[0] * 4, source.shape[1] * 4)
    assert np.abs(area_mean(made, 4)[..., 3] - source[..., 3]).max() <= 8


@of("longest_side")
def test_the_longest_side_is_exact(report: dict[str, Any]) -> None:
    assert report["target"]["size"] == [427, 512]


# --- beside the pixels ----------------------------------------------------------------------------


def test_recover_finds_what_was_never_received_once(cases: dict[str, Any]) -> None:
    assert cases["recover"]["target"]["size"] == [28, 20]
    again = cases["recover_without_an_image"]
    assert again["status"] == "execution-error"
    assert "no finished result" in again["message"]


def test_gimp_s_own_export_of_a_result_is_what_pillow_reads(gimp: Gimp, inputs: Path) -> None:
    """The way round everything of ours: a file in, a file out."""
    out = gimp.host.home / "exported.png"
    out.unlink(missing_ok=True)
    said = gimp.batch(
        """
import os
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(os.environ["IN"]))
procedure = Gimp.get_pdb().lookup_procedure("plug-in-pid-enhance")
config = procedure.create_config()
config.set_property("image", image)
config.set_core_object_array("drawables", image.get_layers())
config.set_property("engine", "identity")
assert procedure.run(config).index(0) == Gimp.PDBStatusType.SUCCESS
image.remove_layer(image.get_layers()[1])
Gimp.file_save(
    Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(os.environ["SAVE"]), None
)
""",
        IN=str(inputs / "pattern.png"),
        SAVE=str(out),
    )
    assert out.exists(), said
    before = np.asarray(Image.open(inputs / "pattern.png"))
    assert np.array_equal(np.asarray(Image.open(out)), before)


def _source(report: dict[str, Any]) -> dict[str, Any]:
    """The layer that a report's only source is."""
    name = report["made"][0]["name"].removesuffix(" (PiD enhanced)")
    return next(layer for layer in report["before"]["layers"] if layer["name"] == name)
