# SPDX-License-Identifier: Apache-2.0
"""What a person sees: bars in a terminal, lines elsewhere, and the demo's picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pid_client.job import Receiving
from pid_daemon import files
from pid_daemon.cli import progress
from pid_daemon.files.comparison import WIDTH_PX, comparison
from pid_protocol.messages import Progress, Queued

from .conftest import LIMIT_S, Command, picture

STEP = Progress("0" * 32, "tile", 0.25, 3, 12, 9.0)


IN_A_TERMINAL = """
from pid_daemon.cli.progress import show, view_for
from pid_protocol.messages import Progress
view = view_for(2, quiet=False)
view.begin(0, "boat.png")
show(view, 0, Progress("0" * 32, "tile", 0.25, 3, 12, 9.0))
view.notice(0, "It was CMYK.")
view.done(0, "out/boat.png")
view.begin(1, "[odd] name.png")
view.failed(1, "[odd] name.png is broken.")
view.close()
"""


def tell(view: progress.View) -> None:
    view.begin(0, "boat.png")
    for event in (Queued("0" * 32, 2), STEP, Receiving(0.5)):
        progress.show(view, 0, event)
    view.notice(0, "It was CMYK.")
    view.done(0, "out/boat.png")
    view.begin(1, "[odd] name.png")
    view.failed(1, "[odd] name.png is broken.")
    view.close()


def test_lines_say_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    tell(progress.LineView(2, quiet=False))
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] boat.png: It was CMYK.",
        "[1/2] boat.png: out/boat.png",
        "[2/2] [odd] name.png is broken.",
    ]


def test_long_jobs_get_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = progress.LineView(1, quiet=False)
    view.begin(0, "boat.png")
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    view.step(0, STEP)
    assert capsys.readouterr().err.startswith("boat.png: 25% – Upscaling, part 3 of 12")


def test_quiet_lines_say_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    tell(progress.LineView(2, quiet=True))
    assert capsys.readouterr().err == "[2/2] [odd] name.png is broken.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_terminal_gets_bars() -> None:
    import pty

    here, there = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL],
        stderr=there,
        env={**os.environ, "TERM": "xterm"},
        timeout=LIMIT_S,
    )
    os.close(there)
    shown = os.read(here, 100_000).decode()
    os.close(here)
    assert done.returncode == 0, shown
    for text in ("boat.png: It was CMYK.", "✓", "✗", "[odd] name.png is broken.", "━"):
        assert text in shown


def test_the_comparison_shows_both_sides() -> None:
    source = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    after = source.resize((480, 360), Image.Resampling.NEAREST)
    sheet = comparison(source, after, "boat.png", "a test")
    assert sheet.width == WIDTH_PX and sheet.height > 1000
    tiny = comparison(source.resize((5, 4)), after.resize((20, 16)), "tiny", "no close-ups")
    assert tiny.height < sheet.height


def test_the_demo_leaves_a_result_and_a_comparison(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png", 40)
    done = subprocess.run(
        [sys.executable, "-m", "pid_daemon.demo", str(source)],
        env=pid.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "160 × 160 px, compact" in done.stdout
    sizes = {path.name: files.read(path).format for path in (tmp_path / "out/demo").iterdir()}
    assert (sizes["boat-4x.png"].width, sizes["boat-4x.png"].height) == (160, 160)
    assert sizes["boat-before-after.png"].width == WIDTH_PX


def test_the_demo_refuses_in_a_sentence(pid: Command, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pid_daemon.demo", "missing.png"],
        env=pid.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 1 and "no file missing.png" in done.stderr
    assert "Traceback" not in done.stderr
