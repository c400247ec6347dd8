# SPDX-License-Identifier: Apache-2.0
"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from pid_daemon.files.picture import UnwritableOutput

TEMPORARY = ".pid-"
"""How the names of unfinished files start; readers of folders pass over them."""


@contextlib.contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """Give a file to write to, which takes its place under `path` only when the block ends well.

    The unfinished file lies in the same folder, so that the last step is a rename.

    Raises:
        UnwritableOutput: the system refuses; nothing is left behind.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UnwritableOutput(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose another place with -o, or make room.",
        ) from error
    finally:
        # gone already when all went well
        with contextlib.suppress(OSError):
            temporary.unlink()
