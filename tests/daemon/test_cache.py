# SPDX-License-Identifier: Apache-2.0
"""Which models stay: the policy as tables, the cache with invented memory and time."""

from __future__ import annotations

import pytest

from pid_daemon.worker.cache import Entry, Key, ModelCache, expired, victims

GIB = 1 << 30


def key(name: str) -> Key:
    return Key(name, "", "cpu", "float32")


def entry(name: str, *, size: int = 1, used: float = 0, expires: float = 1e9, users: int = 0):
    return Entry(key(name), name, size, used, expires, users)


@pytest.mark.parametrize(
    ("entries", "missing", "names"),
    [
        ([], 5, ""),
        ([entry("a"), entry("b")], 0, ""),
        ([entry("a", used=2), entry("b", used=1)], 1, "b"),
        ([entry("a", used=2), entry("b", used=1)], 2, "ba"),
        ([entry("a", used=2), entry("b", used=1, users=1)], 1, "a"),
        ([entry("a", users=1), entry("b", users=2)], 9, ""),
        ([entry("a", size=9, used=2), entry("b", size=1, used=1)], 5, "ba"),
        ([entry("a", used=1), entry("b", used=2)], float("inf"), "ab"),
    ],
)
def test_victims(entries: list[Entry[str]], missing: float, names: str) -> None:
    assert victims(entries, missing) == [key(name) for name in names]


@pytest.mark.parametrize(
    ("one", "is_over"),
    [
        (entry("a", expires=10), True),
        (entry("a", expires=11), False),
        (entry("a", expires=5, users=1), False),
        (entry("a", expires=float("inf")), False),
    ],
)
def test_expired(one: Entry[str], is_over: bool) -> None:
    assert bool(expired([one], 10)) == is_over


class Machine:
    """Invented memory and time."""

    def __init__(self, total: int = 10 * GIB, budget: int = 0, lag_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.total, self.lag_s = total, lag_s
        self.sizes = {"a": 4 * GIB, "b": 4 * GIB, "c": 4 * GIB, "huge": 9 * GIB}
        self.loads: list[str] = []
        self.evicted_s: float | None = None
        self.last_resident = 0
        self.cache: ModelCache[str] = ModelCache(
            self.load, self.free, budget, clock=lambda: self.now_s, sleep=self.sleep
        )

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def free(self) -> int:
        resident = self.cache.resident_bytes
        if resident >= self.last_resident:
            self.last_resident, self.evicted_s = resident, None
        elif self.evicted_s is None:
            self.evicted_s = self.now_s
        elif self.now_s >= self.evicted_s + self.lag_s:
            self.last_resident = resident
        return self.total - self.last_resident

    def load(self, one: Key) -> tuple[str, int]:
        self.loads.append(one.name)
        if self.sizes[one.name] > self.free():
            raise MemoryError(one.name)
        return one.name, self.sizes[one.name]

    def run(self, name: str, keep_alive_s: float = 100.0, expected: int = 0) -> None:
        with self.cache.use(key(name), expected_bytes=expected, keep_alive_s=keep_alive_s) as model:
            assert model == name
            self.now_s += 1

    @property
    def loaded(self) -> str:
        return "".join(sorted(one.name for one, _ in self.cache.snapshot()))


def test_a_loaded_model_is_used_again() -> None:
    machine = Machine()
    machine.run("a")
    machine.run("a")
    assert machine.loads == ["a"]


def test_keep_alive_restarts_at_release() -> None:
    machine = Machine()
    machine.run("a", keep_alive_s=10)
    machine.now_s += 9
    machine.run("a", keep_alive_s=10)
    machine.now_s += 9
    assert not machine.cache.expire()
    machine.now_s += 1
    assert machine.cache.expire()
    assert machine.loaded == ""


@pytest.mark.parametrize(("keep_alive_s", "stays"), [(0, ""), (-1, "a")])
def test_keep_alive_of_zero_and_of_minus_one(keep_alive_s: float, stays: str) -> None:
    machine = Machine()
    machine.run("a", keep_alive_s=keep_alive_s)
    machine.now_s += 0 if keep_alive_s == 0 else 1e6
    machine.cache.expire()
    assert machine.loaded == stays


def test_room_is_made_before_a_load_whose_size_is_known() -> None:
    machine = Machine()
    for name in "ab":
        machine.run(name)
    machine.run("c", expected=4 * GIB)
    assert (machine.loads, machine.loaded) == (["a", "b", "c"], "bc")


def test_out_of_memory_evicts_and_tries_once_more() -> None:
    machine = Machine()
    for name in "ab":
        machine.run(name)
    machine.run("huge")
    assert (machine.loads, machine.loaded) == (["a", "b", "huge", "huge"], "huge")


def test_out_of_memory_with_nothing_to_evict_is_the_end() -> None:
    machine = Machine(total=2 * GIB)
    with pytest.raises(MemoryError):
        machine.run("a")
    assert machine.loads == ["a"]


def test_what_is_in_use_is_never_evicted() -> None:
    machine = Machine()
    with machine.cache.use(key("a"), keep_alive_s=0):
        with pytest.raises(MemoryError):
            machine.run("huge")
        machine.cache.expire()
        assert machine.loaded == "a"


def test_the_budget_holds_although_there_is_memory() -> None:
    machine = Machine(total=100 * GIB, budget=9 * GIB)
    for name in "abc":
        machine.run(name)
    assert machine.loaded == "bc"


def test_an_eviction_waits_until_the_memory_is_really_free() -> None:
    machine = Machine(lag_s=2.0)
    machine.run("a")
    machine.run("b")
    before_s = machine.now_s
    machine.run("huge")
    assert machine.loaded == "huge"
    assert machine.now_s - before_s >= 2.0


def test_the_wait_has_an_end() -> None:
    machine = Machine(lag_s=1e6)
    machine.run("a")
    machine.cache.make_room()
    assert machine.now_s < 10
