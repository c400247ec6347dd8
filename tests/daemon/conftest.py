# SPDX-License-Identifier: Apache-2.0
"""Daemons for tests: one that many tests share, and new ones for those that break things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.real_daemon import RealDaemon


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    """A daemon with a warm worker, for tests that leave it as it is."""
    daemon = RealDaemon(tmp_path_factory.mktemp("daemon"))
    daemon.start()
    daemon.warm_up()
    yield daemon
    assert daemon.stop() == 0, daemon.log_text()


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., RealDaemon]]:
    """Make daemons with settings of their own; they are stopped afterwards."""
    made: list[RealDaemon] = []

    def make(*, start: bool = True, name: str = "d", **settings: object) -> RealDaemon:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        daemon = RealDaemon(folder, **settings)
        made.append(daemon)
        if start:
            daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.stop()
