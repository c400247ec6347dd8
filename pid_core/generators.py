# SPDX-License-Identifier: Apache-2.0
"""Work that is a generator: it yields how far it is, and returns what it made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


def result_of(work: Generator[Any, None, T]) -> T:
    """Do all of the work at once."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value


def each(work: Generator[A, None, T], shown: Callable[[A], B]) -> Generator[B, None, T]:
    """The same work, with what it yields turned into something else."""
    while True:
        try:
            part = next(work)
        except StopIteration as finished:
            return finished.value
        yield shown(part)
