# SPDX-License-Identifier: Apache-2.0
"""Licences that a person has to acknowledge once before the weights under them are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InvalidRequest


@dataclass(frozen=True)
class Licence:
    """One licence."""

    name: str
    """Stable: on the wire and in the settings."""
    title: str
    """What people call it."""
    covers: str
    """What comes under it."""
    terms: str
    """What it allows, in one sentence."""


PID_WEIGHTS = Licence(
    "NSCLv1",
    "NVIDIA License (NSCLv1)",
    "NVIDIA's PiD weights",
    "They may be used for research and evaluation only, not commercially.",
)
"""Of all PiD checkpoints, whoever converted them."""

LICENCES: Mapping[str, Licence] = {one.name: one for one in (PID_WEIGHTS,)}
"""All of them, by their names."""


def licence(name: str) -> Licence:
    """The licence of that name.

    Raises:
        InvalidRequest: there is none.
    """
    if name not in LICENCES:
        raise InvalidRequest(
            f"There is no licence {name[:80]!r} to be acknowledged.",
            f"Licences: {', '.join(LICENCES)}.",
        )
    return LICENCES[name]
