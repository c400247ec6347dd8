# SPDX-License-Identifier: Apache-2.0
"""What a person said about weights files that neither their tensors nor their names tell.

The word is kept: it is about the file, not about one run. The command line writes it, the broker
reads it whenever it looks for weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

import platformdirs

from pid_core.inspect import BACKBONES, Declared, word_about
from pid_core.inspect.generations import PIXELDIT_VARIANTS, VARIANTS
from pid_daemon.config import APP
from pid_daemon.settings_file import write_whole

_NAMES = {spec.name for spec in fields(Declared)}


def place() -> Path:
    """Where the words lie."""
    return platformdirs.user_state_path(APP, appauthor=False) / "declared-files.json"


def words() -> dict[str, Declared]:
    """Words by the files' real paths; entries that make no sense are passed over."""
    try:
        content: Any = json.loads(place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    entries = cast("dict[str, Any]", content)
    return {path: Declared(**word) for path, word in entries.items() if _is_word(word)}


def joined(path: Path, word: Declared) -> Declared:
    """A word about a file; what it leaves open is as it was said before."""
    said = {name: value for name, value in asdict(word).items() if value is not None}
    return replace(word_about(path, words()), **said)


def say(path: Path, word: Declared) -> None:
    """Keep a word about a file, joined to what was said before.

    Raises:
        InternalError: it cannot be written.
    """
    _write({**words(), os.path.realpath(path): joined(path, word)})


def forget(path: Path) -> bool:
    """Take back all words about a file; False = there were none.

    Raises:
        InternalError: it cannot be written.
    """
    known = words()
    had = known.pop(os.path.realpath(path), None) is not None
    if had:
        _write(known)
    return had


def _write(known: Mapping[str, Declared]) -> None:
    write_whole(place(), json.dumps({path: asdict(word) for path, word in known.items()}, indent=1))


def _is_word(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    word = cast("dict[str, Any]", value)
    return (
        word.keys() <= _NAMES
        and word.get("family") in (None, *BACKBONES)
        and word.get("variant") in (None, *VARIANTS, *PIXELDIT_VARIANTS)
        and word.get("is_distilled") in (None, True, False)
    )
