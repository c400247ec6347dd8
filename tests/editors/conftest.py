# SPDX-License-Identifier: Apache-2.0
"""What the tests in the real editors share: the chroot, a daemon outside of it, a screen inside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.real_daemon import RealDaemon
from tests.editors import host
from tests.editors.screen import Screen

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything here drives an editor; where that cannot be, one skip says so for all."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.editors)
        item.add_marker(pytest.mark.slow)
    reason = host.why_not()
    if ours and reason:
        ours[0].add_marker(pytest.mark.skip(f"{reason} ({len(ours)} tests)"))
        items[:] = [item for item in items if item not in ours[1:]]
        config.hook.pytest_deselected(items=ours[1:])


@pytest.fixture(scope="session", autouse=True)
def chroot() -> None:
    """The editors are installed."""
    host.make_chroot()


@pytest.fixture(scope="session")
def daemon_folder(chroot: None) -> Iterator[Path]:
    """Where daemons of these tests live; the chroot sees it."""
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=host.SHARE))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def daemon(daemon_folder: Path) -> Iterator[RealDaemon]:
    """The real daemon with a warm worker, on the host: the chroot reaches it by loopback."""
    folder = daemon_folder / "shared"
    folder.mkdir()
    running = RealDaemon(folder)
    running.start()
    running.warm_up()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def screen(chroot: None) -> Iterator[Screen]:
    """An X server with a window manager in the chroot."""
    with Screen() as started:
        yield started
