# SPDX-License-Identifier: Apache-2.0
"""GIMP as a person uses it: one window, the tests in the order of this file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.real_daemon import RealDaemon
from tests.editors.gimp.profile import Gimp
from tests.editors.gimp.window import ENHANCE, UPSCALE, Window
from tests.editors.screen import Screen, until


@pytest.fixture(scope="module")
def window(gimp: Gimp, screen: Screen, inputs: Path) -> Iterator[Window]:
    """GIMP with a photograph that takes a while to enlarge."""
    with Window(gimp, screen, inputs / "large.png") as opened:
        yield opened


def jobs(daemon: RealDaemon) -> dict[str, int]:
    """How many jobs are in each state."""
    with daemon.client() as client:
        return client.status()["jobs"]


def is_running(daemon: RealDaemon) -> bool:
    """Whether the worker is at work."""
    return jobs(daemon)["running"] > 0


def wait_until_running(daemon: RealDaemon) -> None:
    """Wait until the engine is at work."""
    until(lambda: is_running(daemon), 60, "no job runs")
    time.sleep(1)


def test_menu_dialog_run_result_and_one_undo(window: Window, daemon: RealDaemon) -> None:
    assert "1 layer)" in window.title
    window.open_menu()
    window.screen.do("key", "e")
    dialog = window.screen.window(ENHANCE)
    time.sleep(1)
    window.press_ok(dialog)
    window.wait_for_title("2 layers)")
    window.key("ctrl+z")
    window.wait_for_title("1 layer)", 20)


def test_repeat_last_asks_nothing(window: Window) -> None:
    window.key("ctrl+f")
    window.wait_for_title("2 layers)")
    assert ENHANCE not in window.screen.windows()
    window.key("ctrl+z")
    window.wait_for_title("1 layer)", 20)


def test_settings_are_kept_for_the_next_session(window: Window, gimp: Gimp) -> None:
    (kept,) = (gimp.profile / "plug-in-settings").glob("*pid-enhance.last")
    assert '(engine "auto")' in kept.read_text()


def test_a_cancelled_dialog_changes_nothing(window: Window, daemon: RealDaemon) -> None:
    accepted = jobs(daemon)["accepted"]
    before = window.title
    dialog = window.dialog(UPSCALE)
    window.screen.key(dialog, "Escape")
    until(lambda: UPSCALE not in window.screen.windows(), 20, "the dialog stays")
    assert (window.title, jobs(daemon)["accepted"]) == (before, accepted)


def test_a_spot_can_be_tried_before_the_run(window: Window, daemon: RealDaemon) -> None:
    delivered = jobs(daemon)["delivered"]
    dialog = window.dialog(UPSCALE)
    window.screen.key(dialog, "alt+t")
    until(lambda: jobs(daemon)["delivered"] > delivered, 60, "the spot did not come")
    window.screen.key(dialog, "Escape")
    until(lambda: UPSCALE not in window.screen.windows(), 20, "the dialog stays")


def test_cancel_leaves_the_image_alone_and_the_daemon_idle(
    window: Window, daemon: RealDaemon
) -> None:
    before = window.title
    window.press_ok(window.dialog(UPSCALE))
    wait_until_running(daemon)
    window.press_cancel()
    until(lambda: not is_running(daemon), 3, "the job still runs")
    time.sleep(1)
    assert window.title == before
    assert jobs(daemon)["done"] == 0


def test_a_killed_daemon_gives_a_dialog_and_recover_works_after(
    window: Window, daemon: RealDaemon
) -> None:
    before = window.title
    window.press_ok(window.dialog(UPSCALE))
    wait_until_running(daemon)
    daemon.kill()
    message = window.screen.window("GIMP Message", 30)
    assert window.title == before
    window.screen.key(message, "Return")
    daemon.start()
    with daemon.client() as client:
        client.submit(40, 30, kind="upscale", engine="identity", detached=True)
    until(lambda: jobs(daemon)["done"] >= 1, 60, "the job is not done")
    window.key("ctrl+alt+r")
    window.wait_for_title("160x120", 60)
