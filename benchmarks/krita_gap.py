# SPDX-License-Identifier: Apache-2.0
"""How long Krita's window sleeps while a 4096 x 4096 layer goes to the daemon and comes back.

    PID_TEST_EDITORS=1 python -m pytest -s benchmarks/krita_gap.py

Needs what the tests of the editors need: root and debootstrap. Prints the longest pauses of the
event loop, the longest steps by what they were about, and the calls of Krita that cannot be split.
"""

from __future__ import annotations

import json

from tests.editors.conftest import chroot, daemon, daemon_folder, screen  # noqa: F401  # fixtures
from tests.editors.krita.conftest import Krita, inputs, krita  # noqa: F401  # fixtures


def test_gap(krita: Krita) -> None:  # noqa: F811  # the fixture
    print(json.dumps(krita.drive("inside_gap.py", 400), indent=2))
