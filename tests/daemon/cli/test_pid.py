# SPDX-License-Identifier: Apache-2.0
"""The engine `pid` as a person meets it: real daemon, real command line, small synthetic
weights."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pid_daemon import files
from pid_daemon.files.record import read_record
from tests.daemon.cli.conftest import Command, picture, wait_until
from tests.daemon.raw_client import RawClient
from tests.pid_core import synthetic_vae
from tests.pid_core.synthetic_set import PidSet, write_set

PLAN: dict[str, Any] = {
    "type": "get-plan",
    "kind": "upscale",
    "image": {"width": 64, "height": 64},
}
SMALL_SIZES = Path(__file__).parent / "small_sizes"


def command_in(home: Path, *folders: Path) -> Command:
    """A command with homes and model folders of its own."""
    home.mkdir(parents=True)
    command = Command(home)
    command.environment |= {"PYTHONPATH": str(SMALL_SIZES), "XDG_CACHE_HOME": str(home / "cache")}
    command.environment.pop("PYTHONWARNINGS")  # the field's libraries warn as they are imported
    command.ok("config", "set", "model_folders", ",".join(map(str, folders)))
    return command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PidSet:
    return write_set(tmp_path_factory.mktemp("made"))


@pytest.fixture
def pid(made: PidSet, tmp_path: Path) -> Iterator[Command]:
    """A command that finds a whole set; nobody has accepted a licence yet."""
    shutil.copytree(made.folder, tmp_path / "comfy")
    command = command_in(tmp_path / "home", tmp_path / "comfy")
    # a daemon that a client starts would not get PYTHONPATH, which says how small trained sizes are
    daemon = command.start("serve")
    wait_until((tmp_path / "home" / "connection.json").exists)
    yield command
    command("stop", "--force")
    daemon.communicate()


def rows(command: Command) -> dict[str, dict[str, Any]]:
    """The best row of each kind."""
    listed = json.loads(command.ok("models", "--json"))
    return {row["kind"]: row for row in reversed(listed)}


def test_models_are_listed_with_what_a_person_needs(pid: Command, tmp_path: Path) -> None:
    found = rows(pid)
    network, vae, encoder = found["pid"], found["vae"], found["text-encoder"]
    assert network["is_default"] and network["state"] == "ready" and not network["lacks"]
    assert network["goes_with"] == [vae["id"], encoder["id"]]
    text = pid.ok("models")
    assert f"* {network['id']}" in text and network["path"] in text
    assert "research and evaluation only" in text and "not accepted" in text
    assert str(tmp_path / "comfy") in text

    shutil.move(vae["path"], tmp_path / "ae.safetensors")
    text = pid.ok("models")
    assert "lacks the VAE of FLUX.1" in text and "A PiD upscale still lacks: the VAE" in text
    refused = pid("upscale", "--engine", "pid", picture(tmp_path / "a.png"))
    assert refused.returncode == 1
    assert "The VAE of FLUX.1, Z-Image was not found." in refused.stderr
    assert "--vae" in refused.stderr and "pid models" in refused.stderr


def test_the_default_is_chosen_by_name(pid: Command, made: PidSet, tmp_path: Path) -> None:
    other = tmp_path / "comfy" / "other" / made.weights.name
    other.parent.mkdir()
    shutil.copy(made.weights, other)
    listed = json.loads(pid.ok("models", "--json"))
    (wanted,) = [row for row in listed if row["path"] == str(other)]
    assert "is the default now" in pid.ok("models", "use", wanted["id"])
    listed = json.loads(pid.ok("models", "--json"))
    assert [row["id"] for row in listed if row["is_default"] and row["kind"] == "pid"] == [
        wanted["id"]
    ]
    refused = pid("models", "use", "nothing")
    assert refused.returncode == 2 and wanted["id"] in refused.stderr


def test_files_of_one_run_are_named_by_path(pid: Command, made: PidSet, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "comfy" / "diffusion_models")
    named = tmp_path / "elsewhere" / made.weights.name
    named.parent.mkdir()
    shutil.copy(made.weights, named)
    image = picture(tmp_path / "a.png")
    refused = pid("plan", "--engine", "pid", image)
    assert refused.returncode == 1 and "No PiD weights were found" in refused.stderr

    plan = json.loads(pid.ok("plan", "--weights", named, "--accept-licence", "--json", image))
    assert plan["engine"] == "pid"
    # it stays a file of one run
    assert "No PiD weights were found" in pid("plan", "--engine", "pid", image).stderr

    identifier = rows(pid)["pid"]["id"]
    with RawClient(tmp_path / "home" / "connection.json") as client:
        for text, code in ((str(named), "checkpoint_missing"), (identifier, "")):
            answer = client.ask({**PLAN, "options": {"weights": text}})
            assert answer.get("code", "") == code, answer


@pytest.mark.slow
def test_a_person_says_what_a_file_does_not(pid: Command, made: PidSet, tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png")
    mystery = tmp_path / "comfy" / "diffusion_models" / "mystery.safetensors"
    shutil.move(tmp_path / "comfy" / "diffusion_models" / made.weights.name, mystery)
    assert "neither the file's name nor its folders' names say which" in pid.ok("models")
    identifier = rows(pid)["pid"]["id"]

    for arguments, code, said in (
        ([identifier, "--family", "sdxl"], 2, "You say SDXL, but the weights are for"),
        ([identifier, "--family", "flux", "--variant", "2k"], 2, "The weights are v1.5"),
        ([identifier], 2, "--forget"),
        (["nothing", "--family", "flux"], 2, "neither a file nor a model"),
        ([mystery, "--forget"], 0, ""),
        ([identifier, "--family", "flux"], 0, ""),
    ):
        done = pid("models", "declare", *arguments)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "flux (your word), v1.5" in pid.ok("models")
    network = rows(pid)["pid"]
    assert (network["state"], network["family_from"]) == ("ready", "your word")
    assert "forgotten" in pid.ok("models", "declare", mystery, "--forget")
    assert rows(pid)["pid"]["state"] == "refused"

    named = ("plan", "--weights", mystery, "--accept-licence", "--json", image)
    assert pid("plan", "--family", "flux", image).returncode == 2
    assert pid(*named).returncode == 2
    assert json.loads(pid.ok(*named, "--family", "flux"))["engine"] == "pid"
    assert json.loads(pid.ok(*named))["engine"] == "pid"  # the word is kept


def test_files_that_do_not_fit_are_refused_in_words(
    pid: Command, made: PidSet, tmp_path: Path
) -> None:
    image = picture(tmp_path / "a.png")
    other = synthetic_vae.save(synthetic_vae.vae("sdxl"), tmp_path / "sdxl_vae.safetensors", "ldm")
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"no header at all")
    for arguments, code, said in (
        (["--vae", other], 1, "cannot be used as the VAE"),
        (["--vae", made.weights], 2, "is a pid file"),
        (["--weights", junk], 2, "cannot be used"),
        (["--text-encoder", tmp_path / "gone"], 2, "neither a file nor a model"),
    ):
        done = pid("plan", "--engine", "pid", *arguments, image)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_the_licence_is_asked_for_in_a_terminal(pid: Command, tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png")
    done = pid("plan", "--engine", "pid", image)
    assert done.returncode == 1 and "--accept-licence" in done.stderr
    assert "research and evaluation only" in done.stderr

    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "pid_daemon.cli.main", "plan", "--engine", "pid", image],
            env=pid.environment, stdin=theirs, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        os.close(ours)
        os.close(theirs)
        assert done.returncode == code, done.stderr
        assert "Do you accept this licence?" in done.stderr
    pid.ok("plan", "--engine", "pid", image)
    assert "NSCLv1" in (tmp_path / "home" / "config.toml").read_text()


def test_an_editor_accepts_a_licence_by_message(pid: Command, tmp_path: Path) -> None:
    pid.ok("models")
    asked = {**PLAN, "options": {"engine": "pid"}}
    with RawClient(tmp_path / "home" / "connection.json") as client:
        assert client.ask(asked)["code"] == "licence_not_accepted"
        assert client.ask({"type": "accept-licence", "licence": "MIT"})["code"] == "invalid_request"
        assert client.ask({"type": "accept-licence", "licence": "NSCLv1"})["type"] == "ok"
        assert client.ask(asked)["engine"] == "pid"
    assert pid.ok("config").count("NSCLv1") == 1


@pytest.mark.slow
def test_an_upscale_from_end_to_end(pid: Command, tmp_path: Path) -> None:
    pid.limit_s = 600.0
    image = picture(tmp_path / "a.png", side=64)
    refused = pid("upscale", "--engine", "pid", image)
    assert refused.returncode == 1 and not (tmp_path / "a-4x.png").exists()

    # the worker loads by the person's word, too
    network = next((tmp_path / "comfy" / "diffusion_models").iterdir())
    network.rename(network.with_name("mystery.safetensors"))
    mystery = network.with_name("mystery.safetensors")
    pid.ok("upscale", "--weights", mystery, "--family", "flux", "--accept-licence", image)
    result = files.read(tmp_path / "a-4x.png")
    assert (result.format.width, result.format.height) == (256, 256)
    record = read_record(tmp_path / "a-4x.png")
    assert record is not None and record["engine"] == "pid"
    assert record["weights"].startswith("flux-2kto4k_v1pt5-")
    assert "non-commercial" in record["licence"] and record["plan"]["engine"] == "pid"

    # the empty prompt is cached now: the encoder may go
    shutil.move(tmp_path / "comfy" / "text_encoders", tmp_path / "away")
    assert not rows(pid)["pid"]["lacks"]
    pid.ok("upscale", "--engine", "pid", "--overwrite", image)
    again = files.read(tmp_path / "a-4x.png")
    assert again.tobytes() == result.tobytes()
    refused = pid("upscale", "--engine", "pid", "--prompt", "a cat", "--overwrite", image)
    assert refused.returncode == 1 and "'a cat' needs the text encoder" in refused.stderr
    assert "leave the prompt empty" in refused.stderr
