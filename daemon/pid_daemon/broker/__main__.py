# SPDX-License-Identifier: Apache-2.0
"""`python -m pid_daemon.broker`: the daemon with its settings from the environment and the file alone."""

from __future__ import annotations

import sys

from pid_daemon.broker.server import serve
from pid_daemon.config import load_config

if __name__ == "__main__":
    sys.exit(serve(load_config(), echo=sys.stderr.isatty()))
