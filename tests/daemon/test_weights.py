# SPDX-License-Identifier: Apache-2.0
"""From names in a job to files, the shelf that knows them, and the notes about named files."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from pid_core.inspect import Declared, ModelRow, scan, word_about
from pid_core.inspect.fingerprint import caption_file
from pid_daemon import named_files, words
from pid_daemon.broker import shelf as shelf_module
from pid_daemon.broker.shelf import Shelf
from pid_daemon.broker.weights import Found, check_prompts, files_of
from pid_daemon.config import Config, load_config
from pid_daemon.settings_file import accept_licence, change
from pid_protocol.errors import CheckpointMismatch, CheckpointMissing, InvalidRequest, PidError
from tests.pid_core.synthetic_set import PidSet, write_set

OPTIONS: dict[str, Any] = {"engine": "auto", "weights": "", "prompt": "", "negative_prompt": ""}


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> PidSet:
    return write_set(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="module")
def rows(flux: PidSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelRow]:
    sdxl = write_set(tmp_path_factory.mktemp("sdxl"), "sdxl")
    sdxl.text_encoder.unlink()
    found = scan([flux.folder, sdxl.folder])
    return {f"{row.kind} {row.family}".strip(): row for row in found}


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, note or cache of the user's is read or written."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PID_CONFIG_FILE", str(tmp_path / "config.toml"))


def test_names_choose_files_and_the_rest_follows(rows: dict[str, ModelRow]) -> None:
    found = Found(list(rows.values()))
    for family in ("flux", "sdxl"):
        network = rows[f"pid {family}"]
        files = files_of(found, network.id, Config())
        assert str(files.weights) == network.path
        assert str(files.vae) == rows[f"vae {family}"].path
        assert str(files.text_encoder) == rows["text-encoder"].path
    default = Config(default_weights=rows["pid sdxl"].path, default_vae=rows["vae sdxl"].id)
    assert str(files_of(found, "", default).weights) == rows["pid sdxl"].path
    # a default VAE goes with the default network; another network takes its own
    files = files_of(found, rows["pid flux"].id, default)
    assert str(files.vae) == rows["vae flux"].path


def test_names_that_make_no_sense_are_refused(rows: dict[str, ModelRow]) -> None:
    found = Found(list(rows.values()))
    flux, sdxl = rows["pid flux"], rows["pid sdxl"]
    for names, error, said in (
        ("nothing", CheckpointMissing, "no weights 'nothing'"),
        (flux.path, CheckpointMissing, "no weights"),
        (f"{flux.id},{sdxl.id}", InvalidRequest, "both weights"),
        (f"{flux.id}, {rows['vae sdxl'].id}", CheckpointMismatch, "cannot be used as the VAE"),
    ):
        with pytest.raises(error, match=said):
            files_of(found, names, Config())


def test_what_is_aside_is_used_only_by_name(rows: dict[str, ModelRow]) -> None:
    aside = [rows["pid flux"]]
    found = Found([row for row in rows.values() if row.kind != "pid"], aside)
    with pytest.raises(CheckpointMissing, match="No PiD weights"):
        files_of(found, "", Config())
    assert str(files_of(found, aside[0].id, Config()).weights) == aside[0].path


def test_a_prompt_needs_an_encoder_or_an_embedding(
    rows: dict[str, ModelRow], tmp_path: Path
) -> None:
    found = Found([row for row in rows.values() if row.kind != "text-encoder"])
    files = files_of(found, rows["pid flux"].id, Config())
    with pytest.raises(CheckpointMissing, match="empty prompt.*needed once"):
        check_prompts(files, OPTIONS, tmp_path)
    empty = caption_file(tmp_path, "encoder", "")
    empty.parent.mkdir()
    empty.touch()
    check_prompts(files, OPTIONS, tmp_path)
    with pytest.raises(CheckpointMissing, match="'a cat'.*leave the prompt empty"):
        check_prompts(files, {**OPTIONS, "prompt": "a cat"}, tmp_path)


def test_the_shelf_follows_settings_folders_and_notes(flux: PidSet, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    change("model_folders", str(folder))

    async def scene() -> None:
        shelf = Shelf(load_config())
        assert await shelf.rows() == []
        assert shelf.readiness(OPTIONS, has_gpu=True).pid is None
        with pytest.raises(CheckpointMissing, match="No PiD weights"):
            shelf.readiness({**OPTIONS, "engine": "pid"}, has_gpu=True)
        assert shelf.files(OPTIONS) == {}

        (folder / "comfy").symlink_to(flux.folder)
        assert [row["is_default"] for row in await shelf.rows()] == [True] * 3
        facts = shelf.readiness(OPTIONS, has_gpu=True).pid
        assert facts is not None and (facts.family, facts.variant) == ("flux", "2kto4k_v1pt5")
        assert facts.network_bytes == flux.weights.stat().st_size and not facts.is_quantised
        assert not shelf.readiness(OPTIONS, has_gpu=True).pid_acknowledged
        accept_licence("NSCLv1")
        accept_licence("NSCLv1")
        assert load_config().accepted_licences == ("NSCLv1",)
        assert shelf.readiness(OPTIONS, has_gpu=True).pid_acknowledged
        assert Path(shelf.files(OPTIONS)["weights"]).samefile(flux.weights)

        change("model_folders", str(tmp_path / "nowhere"))
        named_files.note(flux.weights)
        named_files.note(tmp_path / "gone")
        (row,) = await shelf.rows()
        assert row["path"] == str(flux.weights) and not row["is_default"]

    asyncio.run(scene())


def test_the_settings_say_what_auto_stands_for() -> None:
    async def scene() -> None:
        shelf = Shelf(Config(default_engine="compact"))
        assert shelf.settled(OPTIONS)["engine"] == "compact"
        for given in ({"engine": "pid"}, {"weights": "some"}):
            assert shelf.settled({**OPTIONS, **given}) == {**OPTIONS, **given}
        assert Shelf(Config()).settled(OPTIONS) == OPTIONS

    asyncio.run(scene())


def test_looking_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk delays the answer, not the loop; what came while it was read is seen as well."""
    looks = 0

    def slow(*_: object) -> tuple[Found, PidError]:
        nonlocal looks
        looks += 1
        time.sleep(0.2)
        return Found(), CheckpointMissing("none")

    monkeypatch.setattr(shelf_module, "_look", slow)

    async def scene() -> None:
        shelf = Shelf(Config())
        first = asyncio.create_task(shelf.rows())
        ticks = 0
        while not first.done():
            await asyncio.sleep(0.01)
            ticks += 1
            if ticks == 3:
                asyncio.create_task(shelf.rows())  # noqa: RUF006
        assert ticks > 5 and looks == 2

    asyncio.run(scene())


def test_words_are_kept_joined_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    words.say(file, Declared(family="sd3"))
    words.say(file, Declared(variant="2k", is_distilled=False))
    (tmp_path / "link.safetensors").symlink_to(file)
    assert word_about(tmp_path / "link.safetensors", words.words()) == Declared("sd3", "2k", False)
    assert words.forget(file) and not words.forget(file)
    assert words.words() == {}
    for nonsense in ("[1]", "{", '{"a": 3, "b": {"family": "nobody"}, "c": {"x": 1}}'):
        words.place().write_text(nonsense)
        assert words.words() == {}


def test_notes_about_named_files_are_few_and_survive_nonsense(tmp_path: Path) -> None:
    for number in range(named_files.NUM_KEPT + 5):
        named_files.note(tmp_path / str(number))
    named_files.note(tmp_path / "7")
    known = named_files.named_files()
    assert len(known) == named_files.NUM_KEPT and known[-1] == tmp_path / "7"
    assert len(set(known)) == len(known)
    named_files.place().write_text(json.dumps({"a": 1})[:-1])
    assert named_files.named_files() == []
