# SPDX-License-Identifier: Apache-2.0
"""Which models stay loaded. Torch-free: loading, free memory and the clock are handed in. One
thread.

In use is never evicted; keep-alive restarts when a model is released, 0 = leaves now, negative =
stays; idle ones leave least recently used first; after an eviction the memory is waited for until
it is really free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")

RECOVERY_S = 5.0
"""Most that is waited for freed memory to be free."""
POLL_S = 0.05
NOISE_BYTES = 256 << 20
"""Less than this is not waited for."""


class Key(NamedTuple):
    """What makes two loaded models the same."""

    name: str
    """Engine."""
    weights: str
    """Path or identifier; empty = the engine's default."""
    device: str
    """As torch names it."""
    dtype: str
    """Arithmetic."""
    companions: tuple[str, ...] = ()
    """The files that belong to it, and what the weights were found to be."""


@dataclass
class Entry(Generic[M]):
    """A loaded model."""

    key: Key
    model: M
    resident_bytes: int
    """Memory that it holds."""
    used_s: float
    """Clock of the last use."""
    expires_s: float = float("inf")
    """Clock at which it leaves when nobody uses it."""
    num_users: int = 0
    """Jobs that use it now."""


def expired(entries: Iterable[Entry[M]], now_s: float) -> list[Key]:
    """Idle entries whose keep-alive is over."""
    return [entry.key for entry in entries if not entry.num_users and entry.expires_s <= now_s]


def victims(entries: Iterable[Entry[M]], missing_bytes: float) -> list[Key]:
    """Idle entries to evict, least recently used first, until `missing_bytes` are covered or none
    is left."""
    chosen: list[Key] = []
    for entry in sorted(entries, key=lambda entry: entry.used_s):
        if missing_bytes <= 0:
            break
        if not entry.num_users:
            chosen.append(entry.key)
            missing_bytes -= entry.resident_bytes
    return chosen


class ModelCache(Generic[M]):
    """Loaded models by key."""

    def __init__(
        self,
        load: Callable[[Key], tuple[M, int]],
        free_bytes: Callable[[], int],
        budget_bytes: int = 0,
        *,
        is_out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(
            error, MemoryError
        ),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin empty.

        Args:
            load: makes the model of a key; returns it with the memory that it holds.
            free_bytes: gives back what nobody refers to, and says what the device has now.
            budget_bytes: most that all models may hold; 0 = no limit.
            is_out_of_memory: whether what `load` raised means that the memory ran out.
            clock: seconds.
            sleep: waits for seconds.
        """
        self._load = load
        self._free_bytes = free_bytes
        self._budget_bytes = budget_bytes
        self._is_out_of_memory = is_out_of_memory
        self._clock = clock
        self._sleep = sleep
        self._entries: dict[Key, Entry[M]] = {}

    @property
    def resident_bytes(self) -> int:
        """Memory of all models."""
        return sum(entry.resident_bytes for entry in self._entries.values())

    def snapshot(self) -> list[tuple[Key, int]]:
        """Keys and sizes of what is loaded."""
        return [(entry.key, entry.resident_bytes) for entry in self._entries.values()]

    @contextmanager
    def use(self, key: Key, *, expected_bytes: int = 0, keep_alive_s: float) -> Generator[M]:
        """A model, loaded when it is not there, and safe from eviction meanwhile.

        Args:
            key: which one.
            expected_bytes: what it will hold, to make room before; 0 = not known.
            keep_alive_s: how long it stays afterwards.
        """
        entry = self._entries.get(key) or self._loaded(key, expected_bytes)
        entry.num_users += 1
        try:
            yield entry.model
        finally:
            entry.num_users -= 1
            entry.used_s = self._clock()
            entry.expires_s = entry.used_s + keep_alive_s if keep_alive_s >= 0 else float("inf")

    def expire(self) -> bool:
        """Let go of idle models whose keep-alive is over; True when there were any."""
        over = expired(self._entries.values(), self._clock())
        for key in over:
            del self._entries[key]
        return bool(over)

    def make_room(self, missing_bytes: float = float("inf")) -> int:
        """Evict idle models, least recently used first, and wait until the memory is really there.

        Returns:
            Memory that they held.
        """
        return self._evict(victims(self._entries.values(), missing_bytes))

    def _loaded(self, key: Key, expected_bytes: int) -> Entry[M]:
        if self._budget_bytes:
            self.make_room(self.resident_bytes + expected_bytes - self._budget_bytes)
        if expected_bytes:
            self.make_room(expected_bytes - self._free_bytes())
        try:
            model, resident_bytes = self._load(key)
        except Exception as error:
            if not self._is_out_of_memory(error) or not self.make_room():
                raise
            model, resident_bytes = self._load(key)
        entry = Entry(key, model, resident_bytes, self._clock())
        self._entries[key] = entry
        if self._budget_bytes and self.resident_bytes > self._budget_bytes:
            entry.num_users += 1
            self.make_room(self.resident_bytes - self._budget_bytes)
            entry.num_users -= 1
        return entry

    def _evict(self, keys: list[Key]) -> int:
        if not keys:
            return 0
        before_bytes = self._free_bytes()
        freed_bytes = sum(self._entries.pop(key).resident_bytes for key in keys)
        deadline_s = self._clock() + RECOVERY_S
        # Half: allocators keep some, and other programs take some meanwhile. Little is lost in that
        # noise.
        wanted_bytes = before_bytes + freed_bytes / 2 if freed_bytes >= NOISE_BYTES else 0
        while self._free_bytes() < wanted_bytes and self._clock() < deadline_s:
            self._sleep(POLL_S)
        return freed_bytes
