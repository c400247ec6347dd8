# SPDX-License-Identifier: Apache-2.0
"""What the tests in GIMP share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.real_daemon import RealDaemon
from tests.editors import pictures
from tests.editors.gimp.profile import Gimp
from tests.editors.host import SHARE, SUITE


@pytest.fixture(scope="session")
def inputs(chroot: None) -> Path:
    """The pictures."""
    folder = SHARE / f"in-{SUITE}"
    pictures.make(folder)
    return folder


@pytest.fixture(scope="session")
def gimp(daemon: RealDaemon, inputs: Path) -> Gimp:
    """GIMP with the plugin and a daemon that runs."""
    return Gimp("shared", daemon.place)
