#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GIMP runs this file; its folder has the same name, as GIMP wants it. The plugin is `gimp_pid`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if not (HERE / "pid_client").is_dir():  # a developer's link to the checkout
    sys.path.insert(0, str(HERE.parent / "protocol"))

from gimp_pid.plugin import main  # noqa: E402

main(HERE, sys.argv)
