# SPDX-License-Identifier: Apache-2.0
"""Pictures of GIMP for the README: `make screenshots`."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from tests.daemon.real_daemon import RealDaemon
from tests.editors.gimp.profile import Gimp
from tests.editors.gimp.window import UPSCALE, Window
from tests.editors.screen import Screen, until

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"


def shoot(screen: Screen, name: str) -> None:
    """Keep what is on the screen, without the empty part."""
    path = screen.shoot(IMAGES / f"gimp-{name}.png")
    with Image.open(path) as whole:
        picture = whole.convert("RGB")
    picture.crop(picture.getbbox()).save(path, optimize=True)


def test_screenshots(gimp: Gimp, screen: Screen, daemon: RealDaemon, inputs: Path) -> None:
    with Window(gimp, screen, inputs / "photo.png") as window:
        window.open_menu()
        shoot(screen, "menu")
        screen.do("key", "Escape", "Escape", "Escape")
        dialog = window.dialog(UPSCALE)
        with daemon.client() as client:
            delivered = client.status()["jobs"]["delivered"]
            place = screen.geometry(dialog)
            screen.click(place["X"] + 94, place["Y"] + 383)  # the face, on the small picture
            until(lambda: client.status()["jobs"]["delivered"] > delivered, 60, "no spot came")
            time.sleep(1)
            shoot(screen, "dialog")
            window.press_ok(dialog)
            until(lambda: client.status()["jobs"]["running"], 60, "no job runs")
        time.sleep(1.5)
        shoot(screen, "progress")
        screen.window("1280x1536")
        time.sleep(1)
        shoot(screen, "result")
