# SPDX-License-Identifier: Apache-2.0
"""`make screenshots`: pictures of the menu, the dialog and the docker for the README."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.editors.host import SHARE, SUITE
from tests.editors.krita.conftest import Krita

IMAGES = Path(__file__).parents[3] / "docs" / "images"


def test_take_screenshots(krita: Krita) -> None:
    names = krita.drive("inside_screens.py")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(SHARE / f"krita-{SUITE}" / name, IMAGES / name)
    assert len(names) == 5
