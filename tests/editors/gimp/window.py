# SPDX-License-Identifier: Apache-2.0
"""GIMP's window on the screen, driven like a person does."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.editors.gimp.profile import Gimp
from tests.editors.host import GIMP as VERSION
from tests.editors.screen import Screen, until

UPSCALE, ENHANCE = "Upscale Layer", "Enhance Layer or Selection"
KEYS = {UPSCALE: "ctrl+alt+u", ENHANCE: "ctrl+alt+e"}
_CANCEL_FROM_RIGHT, _CANCEL_FROM_BOTTOM = 50, 38


class Window:
    """One GIMP with one picture open; `with` starts and ends it.

    Args:
        gimp: the profile.
        screen: where it is shown.
        picture: the file to open.
    """

    def __init__(self, gimp: Gimp, screen: Screen, picture: Path) -> None:
        self._gimp, self.screen, self._picture = gimp, screen, picture
        (gimp.profile / "sessionrc").unlink(missing_ok=True)  # windows where they always are
        self._process: subprocess.Popen[str] | None = None
        self.id = ""

    def __enter__(self) -> Window:
        command = [f"gimp-{VERSION}", "--no-splash", self._picture]
        self._process = self._gimp.host.start(command, DISPLAY=self.screen.display)
        self.id = self.screen.window(f"[{self._picture.stem}]", 120)
        time.sleep(2)  # GIMP still arranges its docks
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()
        self.said = self._process.communicate(timeout=20)[0]

    @property
    def title(self) -> str:
        """The title, which tells the layers and the size."""
        return self.screen.title(self.id)

    def wait_for_title(self, part: str, timeout_s: float = 120.0) -> None:
        """Wait until the title contains this."""
        until(lambda: part in self.title, timeout_s, lambda: f"{part!r} is not in {self.title!r}")

    def key(self, *keys: str) -> None:
        """Press keys in the image's window."""
        self.screen.key(self.id, *keys)

    def open_menu(self) -> None:
        """Open Filters ▸ PiD by the mouse and the arrow keys; PiD is the last entry."""
        place = self.screen.geometry(self.id)
        self.screen.do("windowactivate", "--sync", self.id)
        self.screen.click(place["X"] + 425, place["Y"] - 7)
        time.sleep(1)
        self.screen.do("key", "Up")
        time.sleep(0.3)
        self.screen.do("key", "Right")
        time.sleep(0.7)

    def dialog(self, name: str) -> str:
        """Open a dialog by its shortcut; returns its window."""
        self.key(KEYS[name])
        window = self.screen.window(name)
        time.sleep(1)  # until it is drawn and listens
        return window

    def press_ok(self, dialog: str) -> None:
        """Start the run."""
        self.screen.key(dialog, "alt+o")
        until(lambda: dialog not in self.screen.windows().values(), 20, "the dialog stays")

    def press_cancel(self) -> None:
        """Click the button beside the progress bar."""
        place = self.screen.geometry(self.id)
        self.screen.do("windowactivate", "--sync", self.id)
        self.screen.click(
            place["X"] + place["WIDTH"] - _CANCEL_FROM_RIGHT,
            place["Y"] + place["HEIGHT"] - _CANCEL_FROM_BOTTOM,
        )
