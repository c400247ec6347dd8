# SPDX-License-Identifier: Apache-2.0
"""`pid upscale` and its relatives through a real daemon."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pid_daemon import files

from .conftest import LIMIT_S, Command, picture, wait_until

PLAIN = ("--engine", "identity", "--scale", "2")


def status(pid: Command) -> dict[str, int]:
    daemon = json.loads(pid("status", "--json").stdout)["daemon"]
    return daemon["jobs"] if daemon else {}  # none yet: a run has just begun to start it


def test_one_file_lands_beside_its_source_with_a_record(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png")
    done = pid("upscale", source, *PLAIN)
    assert done.returncode == 0, done.stderr
    target = tmp_path / "boat-2x.png"
    assert f"boat.png: {target}  48 × 48 px, identity" in done.stderr
    assert files.read(target).format.width == 48
    record = files.read_record(target)
    assert record is not None and record["engine"] == "identity"
    assert record["request"]["options"] == {"engine": "identity", "scale": 2.0}
    again = pid("upscale", source, *PLAIN)
    assert again.returncode == 0 and "done already" in again.stderr


def test_quiet_says_nothing(pid: Command, tmp_path: Path) -> None:
    done = pid("upscale", picture(tmp_path / "boat.png"), *PLAIN, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_enhancing_keeps_the_size(pid: Command, tmp_path: Path) -> None:
    pid.ok("enhance", picture(tmp_path / "boat.png"), "--engine", "identity")
    assert files.read(tmp_path / "boat-enhanced.png").format.width == 24


@pytest.mark.parametrize(("suffix", "depth"), [(".tif", "f32"), (".png", "u16"), (".jpg", "u8")])
def test_depth_profile_and_metadata_come_back(
    pid: Command, tmp_path: Path, suffix: str, depth: str
) -> None:
    import imagecodecs

    from pid_protocol.pixels import PixelFormat

    pixels = np.full((16, 20, 3), 0.25, np.float32)
    if depth != "f32":
        pixels = (pixels * (65535 if depth == "u16" else 255)).astype(depth.replace("u", "uint"))
    icc = bytes(imagecodecs.cms_profile("adobergb"))
    source = tmp_path / f"boat{suffix}"
    image = PixelFormat(20, 16, "rgb", depth, profile="icc")
    files.write(source, pixels, image, icc=icc, metadata=files.Metadata(dpi=(300, 300)))
    pid.ok("upscale", source, *PLAIN)
    result = files.read(tmp_path / f"boat-2x{suffix}")
    assert (result.format.width, result.format.depth, result.icc) == (40, depth, icc)
    assert result.metadata.dpi == pytest.approx((300, 300), rel=1e-4)
    top = 1.0 if depth == "f32" else float(np.iinfo(pixels.dtype).max)
    assert np.allclose(result.pixels / top, 0.25, atol=0.02)


def test_a_folder_run_goes_past_a_bad_file_and_goes_on_later(pid: Command, tmp_path: Path) -> None:
    for name in "abd":
        picture(tmp_path / f"in/{name}.png", seed=ord(name))
    (tmp_path / "in/c.png").write_text("no picture")
    done = pid("upscale", tmp_path / "in", "-o", tmp_path / "out", *PLAIN)
    assert done.returncode == 1
    assert "3 of 4 files done" in done.stderr
    assert "c.png cannot be used: it is not a picture." in done.stderr.splitlines()[-1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "d.png"]

    (tmp_path / "out/b.png").unlink()
    kept = (tmp_path / "out/a.png").stat().st_mtime_ns
    picture(tmp_path / "in/c.png", seed=5)
    done = pid("upscale", tmp_path / "in", "-o", tmp_path / "out", *PLAIN)
    assert done.returncode == 0
    assert "2 of 4 done before" in done.stderr
    assert (tmp_path / "out/a.png").stat().st_mtime_ns == kept
    assert len(list((tmp_path / "out").iterdir())) == 4
    other = pid("upscale", tmp_path / "in", "-o", tmp_path / "out", "--engine", "identity")
    assert other.returncode == 2 and "are there already" in other.stderr


def test_results_are_what_the_daemon_is_asked_for(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png", side=20)
    answer = json.loads(pid.ok("plan", source, "--longest", "50", "--json"))
    assert (answer["width"], answer["height"]) == (50, 50)
    assert "50 × 50 px, " in pid.ok("plan", source, "--longest", "50")
    dry = pid.ok("upscale", source, "--longest", "50", "--dry-run")
    assert "boat-50px.png: 50 × 50 px" in dry
    assert list(tmp_path.iterdir()) == [source]


def test_detached_jobs_are_listed_and_fetched(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png")
    job = pid.ok("upscale", source, *PLAIN, "--detach").strip()
    assert len(job) == 32
    assert not (tmp_path / "boat-2x.png").exists()
    kept = {entry["job"]: entry for entry in json.loads(pid.ok("jobs", "--json"))}
    assert kept[job]["title"] == "boat.png"
    assert job[:8] in pid.ok("jobs")
    pid.ok("fetch", "last")
    record = files.read_record(tmp_path / "boat-2x.png")
    assert record is not None and record["request"]["kind"] == "upscale"
    assert job not in pid.ok("jobs", "--json")
    assert "done already" in pid("upscale", source, *PLAIN).stderr


def test_a_detached_result_goes_where_it_is_told(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png")
    job = pid.ok("upscale", source, *PLAIN, "--detach").strip()
    (tmp_path / "taken.png").touch()
    refused = pid("fetch", job[:6], "-o", tmp_path / "taken.png")
    assert refused.returncode == 2 and "is there already" in refused.stderr
    pid.ok("fetch", job[:6], "-o", tmp_path / "here.tif")
    assert files.read(tmp_path / "here.tif").format.width == 48
    gone = pid("fetch", job[:6])
    assert gone.returncode == 1 and "No job begins with" in gone.stderr


def test_control_c_stops_the_job_in_the_daemon(pid: Command, tmp_path: Path) -> None:
    sources = [picture(tmp_path / f"in/{n}.png", 900, n) for n in range(3)]
    run = pid.start("upscale", *sources, "-o", tmp_path / "out", "--engine", "compact")
    wait_until(lambda: status(pid).get("running"))
    run.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert "Interrupted" in err and "Traceback" not in err
    now = status(pid)
    assert not now.get("running") and not now.get("queued")
    assert time.monotonic() - began_s < 4.0  # 2 s of the daemon's, and two processes' starts
    assert list((tmp_path / "out").iterdir()) == []


def test_cancelling_by_name(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png", 900)
    job = pid.ok("upscale", source, "--engine", "compact", "--detach").strip()
    assert pid.ok("cancel", job[:10]) == "1 job cancelled.\n"
    wait_until(lambda: not status(pid).get("running"))
    assert pid.ok("cancel", "all") == "0 jobs cancelled.\n"


def test_the_status_names_the_daemon_and_its_places(pid: Command, tmp_path: Path) -> None:
    pid.ok("upscale", picture(tmp_path / "boat.png"), *PLAIN)
    text = pid.ok("status")
    assert "Daemon 0." in text and str(pid.home / "spool") in text
    assert "pid install gimp" in text
    assert "ready" in pid.ok("log", "-n", "200")
    assert pid.ok("log", "--path").strip() == str(pid.home / "log" / "daemon.log")


@pytest.mark.slow
def test_the_daemon_ends_and_starts_again(pid: Command, tmp_path: Path) -> None:
    pid.ok("upscale", picture(tmp_path / "a.png"), *PLAIN)
    assert pid.ok("stop") == "The daemon has ended.\n"
    assert pid.ok("stop") == "No daemon is running.\n"
    gone = pid("status")
    assert gone.returncode == 3 and "No daemon is running" in gone.stdout
    assert pid.ok("jobs") == "There are no jobs.\n"
    assert "nothing is loaded" in pid.ok("unload")
    assert pid("cancel", "all").returncode == 3
    pid.ok("upscale", picture(tmp_path / "b.png"), *PLAIN)
    assert "Idle workers end" in pid.ok("unload")


@pytest.mark.slow
def test_a_run_outlives_the_daemon(pid: Command, tmp_path: Path) -> None:
    sources = [picture(tmp_path / f"in/{n}.png", 300, n) for n in range(3)]
    run = pid.start("upscale", *sources, "-o", tmp_path / "out", "--engine", "compact")
    wait_until(lambda: status(pid).get("running"))
    os.kill(json.loads(pid("status", "--json").stdout)["daemon"]["pid"], signal.SIGKILL)
    _, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, err
    assert "starting again" in err and "3 of 3 files done" in err
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.slow
def test_a_file_is_tried_again_when_its_worker_dies(pid: Command, tmp_path: Path) -> None:
    source = picture(tmp_path / "boat.png", 300)
    run = pid.start("upscale", source, "--engine", "compact")
    wait_until(lambda: status(pid).get("running"))
    (worker,) = json.loads(pid("status", "--json").stdout)["daemon"]["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    _, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, err
    assert "tried once more" in err and files.read(tmp_path / "boat-4x.png").format.width == 1200


@pytest.mark.slow
def test_a_second_daemon_leaves_the_first_alone(pid: Command, tmp_path: Path) -> None:
    pid.ok("upscale", picture(tmp_path / "a.png"), *PLAIN)
    process = json.loads(pid.ok("status", "--json"))["daemon"]["pid"]
    second = pid("serve")
    assert second.returncode == 1 and "already running" in second.stderr
    assert json.loads(pid.ok("status", "--json"))["daemon"]["pid"] == process
