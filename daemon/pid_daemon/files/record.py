# SPDX-License-Identifier: Apache-2.0
"""Reading the record back from a result, without decoding its pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from pid_daemon.files import xmp
from pid_daemon.files.formats import sniff
from pid_daemon.files.pillow import blob, opened
from pid_daemon.files.tiff import xmp_of
from pid_protocol.errors import InvalidImage


def read_record(path: Path) -> dict[str, Any] | None:
    """What was done to make this picture; None for anybody else's file, a broken one or none."""
    try:
        with open(path, "rb") as file:
            container = sniff(file.read(32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packet = xmp_of(path) if container.name == "tiff" else _xmp_by_pillow(path)
    except (OSError, InvalidImage):
        return None
    except Exception:  # a decoder on broken data raises whatever it likes
        return None
    return xmp.record_in(packet)


def _xmp_by_pillow(path: Path) -> bytes:
    with open(path, "rb") as file, opened(file) as image:
        return blob(image.info, "xmp")
