# SPDX-License-Identifier: Apache-2.0
"""Measured numbers in words; what the editors show, too, is in `pid_client.texts`."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(num_bytes: float) -> str:
    """`512 B`, `3.4 MB`, `12 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000 or unit == "GB":
            break
        num_bytes /= 1000
    return (
        f"{num_bytes:.0f} {unit}" if num_bytes >= 10 or unit == "B" else f"{num_bytes:.1f} {unit}"
    )


def count(number: int, thing: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
