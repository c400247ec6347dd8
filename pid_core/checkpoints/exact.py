# SPDX-License-Identifier: Apache-2.0
"""Exact loading: every tensor of the network is in the file, in its shape, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pid_core.errors import CheckpointMismatch

Shapes = Mapping[str, Sequence[int]]


def require_exact(file_name: str, expected: Shapes, found: Shapes) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointMismatch: tensors are missing, extra or misshaped; names the first five of each.
    """
    complaints: list[str] = []
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    misshaped = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    for names, what in (
        (missing, "missing"),
        (extra, "unknown to the network"),
        (misshaped, "of another shape"),
    ):
        if names:
            complaints.append(f"{len(names)} tensors are {what}: {_first_five(names)}")
    if complaints:
        raise CheckpointMismatch(
            f"{file_name} does not fit: {'; '.join(complaints)}.",
            hint="The file is damaged, incomplete, or made for another network.",
        )


def _first_five(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
