# SPDX-License-Identifier: Apache-2.0
"""The daemon's log: one rotating file in the user's log folder, written by the broker alone."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from pid_protocol.errors import InvalidRequest

LOG_NAME = "daemon.log"
MAX_LOG_BYTES = 4 << 20
NUM_OLD_LOGS = 3


def start_logging(folder: Path, level: str, *, echo: bool) -> Path:
    """Send every log record to the file, and to the terminal when there is one.

    Args:
        folder: made when it is missing.
        level: least important level.
        echo: whether standard error gets a copy.
    Returns:
        The file's path.
    Raises:
        InvalidRequest: there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise InvalidRequest(f"log_level is {level!r}.", f"Levels: {', '.join(levels)}.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_NAME
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(
            path, maxBytes=MAX_LOG_BYTES, backupCount=NUM_OLD_LOGS, encoding="utf-8", delay=True
        )
    ]
    if echo:
        handlers.append(logging.StreamHandler(sys.stderr))
    # A full disk must not turn every log line into a traceback on the terminal.
    logging.raiseExceptions = False
    logging.basicConfig(
        level=level.upper(),
        handlers=handlers,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    return path
