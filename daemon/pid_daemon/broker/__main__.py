# SPDX-License-Identifier: Apache-2.0
"""`python -m pid_daemon.broker`: the daemon, with settings from the environment and the file."""

from __future__ import annotations

import sys

from pid_daemon.broker.server import serve
from pid_daemon.config import load_config
from pid_protocol.errors import PidError


def main() -> int:
    """Serve; returns the exit status."""
    try:
        config = load_config()
    except PidError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return serve(config, echo=sys.stderr.isatty())


if __name__ == "__main__":
    sys.exit(main())
