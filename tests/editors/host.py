# SPDX-License-Identifier: Apache-2.0
"""The editors of a Debian suite in a chroot, run from here with a home folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SUITE = os.environ.get("PID_EDITORS_SUITE", "trixie")
"""Debian's suite: `trixie` has GIMP 3.0 and Krita 5.2, `sid` the newest ones."""
ROOT = Path(os.environ.get("PID_EDITORS_FOLDER", "/var/tmp/pid-editors"))
CHROOT = ROOT / SUITE
SHARE = ROOT / "share"
"""Seen under the same path from inside and from outside."""
GIMP = {"trixie": "3.0", "sid": "3.2"}.get(SUITE, "3.0")
PACKAGES = (
    *("xvfb", "openbox", "xdotool", "imagemagick", "fonts-dejavu-core"),
    *("gimp", "krita", "python3-pyqt5"),  # Krita only recommends the last one, and needs it
    "python3-pyqt6",  # for the docker as Krita 6 has it
)
_SCRIPTS = Path(__file__).parent / "chroot"


def why_not() -> str:
    """Why the real editors cannot be driven here; empty = they can."""
    if os.environ.get("CI") != "true" and not os.environ.get("PID_TEST_EDITORS"):
        return "The tests in the real GIMP and Krita run where CI=true or PID_TEST_EDITORS=1."
    if os.geteuid() != 0:
        return "The tests in the real GIMP and Krita need root, for a chroot."
    if shutil.which("apt-get") is None:
        return "The tests in the real GIMP and Krita need apt-get, for debootstrap."
    return ""


def make_chroot() -> None:
    """Make the chroot, or look that it is complete."""
    SHARE.mkdir(parents=True, exist_ok=True)
    subprocess.run([_SCRIPTS / "make-chroot.sh", SUITE, CHROOT, *PACKAGES], check=True)


class Host:
    """Runs programs in the chroot.

    Args:
        name: of the home folder, which is kept: an editor's first start takes longest.
        environment: further variables for every program.
    """

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.home = SHARE / f"home-{SUITE}-{name}"
        self.home.mkdir(parents=True, exist_ok=True)
        self.environment = environment

    def start(self, command: Sequence[str | Path], **more: str) -> subprocess.Popen[str]:
        """Start a program; the process is the program itself, not a shell around it."""
        return subprocess.Popen(self._line(command), env=self._variables(more), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    def run(self, command: Sequence[str | Path], timeout_s: float = 180.0, **more: str) -> str:
        """Run a program to its end; returns what it said."""
        done = subprocess.run(
            self._line(command),
            env=self._variables(more),
            text=True,
            timeout=timeout_s,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout

    def _line(self, command: Sequence[str | Path]) -> list[str]:
        return [str(_SCRIPTS / "in-chroot.sh"), str(CHROOT), *map(str, command)]

    def _variables(self, more: dict[str, str]) -> dict[str, str]:
        own = {**self.environment, **more}
        told = {"SHARE": str(SHARE), "CHROOT_HOME": str(self.home), "PASS": " ".join(own)}
        return {**os.environ, **own, **told}
