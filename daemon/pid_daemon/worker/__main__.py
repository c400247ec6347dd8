# SPDX-License-Identifier: Apache-2.0
"""`python -m pid_daemon.worker`: started by the broker, never by hand."""

from __future__ import annotations

import argparse
import logging
import sys

from pid_daemon.worker.loop import work
from pid_daemon.worker.pipe import Pipe, die_with_parent


def main() -> None:
    """Take the pipe, then work until it ends."""
    parser = argparse.ArgumentParser(prog="pid_daemon.worker")
    parser.add_argument("--device", required=True)
    parser.add_argument("--memory-budget-mib", type=int, default=0)
    arguments = parser.parse_args()
    die_with_parent()
    pipe = Pipe.take_over()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    work(
        pipe,
        device=arguments.device,
        budget_bytes=arguments.memory_budget_mib << 20,
    )


if __name__ == "__main__":
    main()
