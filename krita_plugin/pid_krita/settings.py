# SPDX-License-Identifier: Apache-2.0
"""The last settings, remembered across sessions in Krita's own configuration."""

from __future__ import annotations

import json
from typing import Any

from krita import Krita

from pid_client.options import options_for, validated
from pid_protocol.errors import InvalidRequest

_GROUP = "pid_krita"


def load(kind: str) -> dict[str, Any]:
    """The rows of a kind of job as they were last used; defaults for what is missing or wrong."""
    try:
        stored = json.loads(Krita.instance().readSetting(_GROUP, kind, "{}"))
    except ValueError:
        stored = {}
    known = {row.name for row in options_for(kind)}
    try:
        return validated(kind, {k: v for k, v in dict(stored).items() if k in known})
    except InvalidRequest:  # written by another version
        return validated(kind, {})


def save(kind: str, values: dict[str, Any]) -> None:
    """Remember these rows."""
    Krita.instance().writeSetting(_GROUP, kind, json.dumps(values))
