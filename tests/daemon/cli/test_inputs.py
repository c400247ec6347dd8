# SPDX-License-Identifier: Apache-2.0
"""Which files a run reads and writes, and what it refuses before it starts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pid_daemon import files
from pid_daemon.cli.exits import Refused
from pid_daemon.cli.inputs import (
    Item,
    Request,
    find,
    make_folders,
    outstanding,
    suffix_for,
    targets,
)
from pid_protocol.pixels import PixelFormat

REQUEST = Request("upscale", {"scale": 2.0})


def picture(path: Path, record: dict[str, object] | None = None, shade: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, np.full((4, 4, 3), shade, np.uint8), PixelFormat(4, 4), record=record)
    return path


def settle(*paths: Path, out: Path | None = None, recursive: bool = False,
           format_name: str | None = None) -> list[Item]:  # fmt: skip
    found = find(paths, recursive=recursive, out=out)
    return targets(found, out=out, suffix="-2x", format_name=format_name)


def names(items: list[Item], base: Path) -> list[tuple[str, str]]:
    return [(str(i.source.relative_to(base)), str(i.target.relative_to(base))) for i in items]


def test_the_result_lies_beside_its_source_by_default(tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.jpg")
    assert names(settle(source), tmp_path) == [("boat.jpg", "boat-2x.jpg")]
    assert names(settle(source, format_name="tiff"), tmp_path) == [("boat.jpg", "boat-2x.tif")]


def test_one_input_goes_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.jpg")
    assert settle(source, out=tmp_path / "big.png")[0].target == tmp_path / "big.png"
    assert settle(source, out=tmp_path / "big")[0].target == tmp_path / "big" / "boat.jpg"
    (tmp_path / "dotted.folder").mkdir()
    target = settle(source, out=tmp_path / "dotted.folder")[0].target
    assert target == tmp_path / "dotted.folder" / "boat.jpg"


def test_a_folder_keeps_its_shape(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/sub/b.png", "in/.hidden/c.png", "in/notes.txt", "in/.pid-1.part"):
        picture(tmp_path / name) if name.endswith("png") else (tmp_path / name).touch()
    flat = settle(tmp_path / "in", out=tmp_path / "out")
    assert names(flat, tmp_path) == [("in/a.png", "out/a.png")]
    deep = settle(tmp_path / "in", out=tmp_path / "out", recursive=True)
    assert names(deep, tmp_path) == [("in/a.png", "out/a.png"), ("in/sub/b.png", "out/sub/b.png")]


def test_results_are_no_sources_of_the_next_run(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/a-4x.png", {"request": {}})
    picture(tmp_path / "in/out/a.png")
    assert names(settle(tmp_path / "in"), tmp_path) == [("in/a.png", "in/a-2x.png")]
    deep = settle(tmp_path / "in", out=tmp_path / "in/out", recursive=True)
    assert [item.source.name for item in deep] == ["a-4x.png", "a.png"]


def test_two_inputs_with_one_output_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a/boat.png")
    picture(tmp_path / "b/boat.png")
    with pytest.raises(Refused, match="would both become"):
        settle(tmp_path / "a", tmp_path / "b", out=tmp_path / "out")
    picture(tmp_path / "a/boat.jpg")
    with pytest.raises(Refused, match="would both become"):
        settle(tmp_path / "a", out=tmp_path / "out", format_name="webp")


def test_a_result_never_replaces_a_source(tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png")
    (tmp_path / "link.png").symlink_to(source)
    for out in (source, tmp_path, tmp_path / "link.png"):
        with pytest.raises(Refused, match="would replace the source"):
            settle(source, out=out)


def test_what_is_not_there_or_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no file or folder"):
        settle(tmp_path / "missing.png")
    picture(tmp_path / "empty/sub/a.png")
    with pytest.raises(Refused, match="holds no") as caught:
        settle(tmp_path / "empty")
    assert "--recursive" in caught.value.hint
    with pytest.raises(Refused, match="file format"):
        settle(picture(tmp_path / "boat.png"), out=tmp_path / "boat.gif")
    with pytest.raises(Refused, match="disagree"):
        settle(tmp_path / "boat.png", out=tmp_path / "big.png", format_name="jpeg")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    sources = [picture(tmp_path / f"{name}.png") for name in "abc"]
    items = settle(*sources, out=tmp_path / "out")
    picture(items[0].target, {"request": REQUEST.of(sources[0])})
    assert outstanding(items, REQUEST, overwrite=False, skip=False) == (items[1:], 1)
    assert outstanding(items, REQUEST, overwrite=True, skip=False) == (items, 0)


def test_results_of_other_settings_sources_or_people_are_not_touched(tmp_path: Path) -> None:
    sources = [picture(tmp_path / f"{name}.png") for name in "abc"]
    items = settle(*sources, out=tmp_path / "out")
    picture(items[0].target, {"request": Request("upscale", {}).of(sources[0])})
    picture(items[1].target, {"request": REQUEST.of(sources[1])})
    picture(sources[1], shade=10)
    picture(items[2].target)
    with pytest.raises(Refused, match="are there already") as caught:
        outstanding(items, REQUEST, overwrite=False, skip=False)
    assert all(str(item.target) in caught.value.message for item in items)
    assert outstanding(items, REQUEST, overwrite=False, skip=True) == ([], 3)


def test_suffixes_say_what_was_asked() -> None:
    assert suffix_for("upscale", {}) == "-4x"
    assert suffix_for("upscale", {"scale": 2.5}) == "-2.5x"
    assert suffix_for("upscale", {"longest": 4096}) == "-4096px"
    assert suffix_for("upscale", {"width": 80, "height": 60}) == "-80x60"
    assert suffix_for("enhance", {}) == "-enhanced"


def test_folders_are_made_and_tried(tmp_path: Path) -> None:
    make_folders([tmp_path / "deep/out"])
    assert list((tmp_path / "deep/out").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="cannot be written to"):
        make_folders([tmp_path / "file"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folders_that_may_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(Refused, match="Permission denied"):
        make_folders([tmp_path / "out"])
