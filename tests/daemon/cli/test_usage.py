# SPDX-License-Identifier: Apache-2.0
"""What the command line refuses, shows and accepts, without any daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pid_client.options import ENHANCE, OPTIONS, UPSCALE
from pid_daemon.cli import detached
from pid_daemon.cli.main import COMMANDS, cli, run
from pid_daemon.cli.options import NEEDS_SELECTION, chosen, rows_for
from pid_daemon.cli.texts import count, duration, size
from pid_protocol import PROGRAM_VERSION

from .conftest import picture


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, terminal_width=100)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    assert f"Usage: cli {name}" in shown(name, "--help")


def test_the_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pid_daemon.cli.main import run; rc = run(['--help'])\n"
        "heavy = {'torch', 'numpy', 'PIL', 'zmq', 'rich', 'diffusers'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr); sys.exit(rc or bool(heavy))"
    )
    seconds = []
    for _ in range(3):
        began_s = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.perf_counter() - began_s)
        assert done.returncode == 0, done.stderr
    assert min(seconds) < 1.0  # 0.2 s on an idle machine


def test_the_version_is_the_program_s() -> None:
    assert PROGRAM_VERSION in shown("--version")


@pytest.mark.parametrize("kind", [UPSCALE, ENHANCE])
def test_rows_of_the_table_are_options(kind: str) -> None:
    text = shown(kind, "--help")
    for row in OPTIONS:
        flag = f"--{row.name.replace('_', '-')}"
        is_there = kind in row.kinds and not row.editor_only and row.name not in NEEDS_SELECTION
        assert (f"{flag} " in text) == is_there, flag
        if is_there:
            advanced = text.index(f"{flag} ") > text.index("Advanced:")
            assert advanced == row.advanced, flag
    assert "identity" not in text


def test_only_what_differs_from_the_defaults_is_sent() -> None:
    arguments = {row.name: None for row in rows_for(UPSCALE)}
    given = {"scale": 4.0, "repair": 0.5, "colour_lock": False, "engine": "identity"}
    expected = {"repair": 0.5, "colour_lock": False, "engine": "identity"}
    assert chosen(UPSCALE, arguments | given) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upscale"], "Missing argument"),
        (["upscale", "--scale", "9", "a.png"], "not in the range"),
        (["upscale", "--engine", "magic", "a.png"], "is not one of"),
        (["upscale", "--format", "gif", "a.png"], "is not one of"),
        (["enhance", "--scale", "2", "a.png"], "No such option"),
        (["upscale", "missing.png"], "no file or folder missing.png"),
        (["upscale", "--overwrite", "--skip", "a.png"], "contradict"),
        (["upscale", "--width", "80", "a.png"], "both sides"),
        (["upscale", "a.png", "-o", "a.png"], "would replace the source"),
        (["upscale", "a.png", "b/a.png", "-o", "out"], "would both become"),
        (["upscale", "a.png", "-o", "taken/a.png"], "cannot be written to"),
        (["upscale", "a.png", "-o", "out.xcf"], "file format"),
        (["upscale", "a.png", "-o", "b/a.png"], "is there already"),
        (["upscale", "empty"], "holds no"),
        (["install", "photoshop"], "is not one of"),
        (["launch"], "No such command"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b/a.png")
    (tmp_path / "taken").touch()
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PID_CONNECTION_FILE", str(tmp_path / "connection.json"))
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_defect_is_one_sentence_and_the_log_has_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setenv("PID_LOG_FOLDER", str(tmp_path))
    monkeypatch.setattr("pid_daemon.cli.inputs.find", broken)
    assert run(["upscale", "a.png"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: by nothing" in err and "Traceback" not in err
    assert "Traceback" in (tmp_path / "cli.log").read_text()


def test_settings_are_shown_with_their_source_and_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\ndefault_engine = 'compact'\n")
    monkeypatch.setenv("PID_CONFIG_FILE", str(path))
    monkeypatch.setenv("PID_DEVICE", "cpu")
    assert run(["config", "set", "keep_alive_s", "60"]) == 0
    assert run(["config", "set", "model_folders", "/a,/b c"]) == 0
    assert run(["config", "set", "keep_alive_s", "soon"]) == 2
    assert run(["config", "set", "colour", "red"]) == 2
    assert path.read_text().splitlines() == [
        "# mine",
        "default_engine = 'compact'",
        "keep_alive_s = 60.0",
        'model_folders = ["/a", "/b c"]',
    ]
    capsys.readouterr()
    assert run(["config"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["device"].endswith("from PID_DEVICE")
    assert lines["keep_alive_s"].endswith("from the file")
    assert lines["log_level"].endswith("default")
    assert run(["config", "unset", "keep_alive_s"]) == 0
    assert "keep_alive_s" not in path.read_text()


def test_installing_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run(["install", "gimp"]) == 2
    assert "--into" in capsys.readouterr().err


def test_words_for_numbers() -> None:
    assert [duration(s) for s in (0.84, 42.4, 60, 185, 7800)] == [
        "0.8 s",
        "42 s",
        "1 min",
        "3 min 5 s",
        "2 h 10 min",
    ]
    assert [size(n) for n in (512, 3_400_000, 12e9)] == ["512 B", "3.4 MB", "12 GB"]
    assert [count(n, "file") for n in (1, 3)] == ["1 file", "3 files"]


def test_notes_about_detached_jobs_are_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PID_SPOOL_FOLDER", str(tmp_path / "spool"))
    note = detached.Note(tmp_path / "a.png", tmp_path / "b.png", {"kind": "upscale"}, 90)
    for job in ("kept", "young", "old"):
        detached.keep(job, note)
        if job != "young":
            os.utime(tmp_path / f"detached/{job}.json", (0, 0))
    detached.prune(["kept"])
    assert detached.find("kept") == detached.find("young") == note
    assert detached.find("old") is None
    detached.drop("kept")
    (tmp_path / "detached/young.json").write_text("{")
    assert detached.find("kept") is None and detached.find("young") is None
