# SPDX-License-Identifier: Apache-2.0
"""Our codec against msgpack-python, and against bytes that nobody should send."""

from __future__ import annotations

import random
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pid_protocol.errors import LocalProtocolError, RemoteProtocolError
from pid_protocol.limits import MAX_DEPTH, MAX_HEADER_BYTES, MAX_ITEMS
from pid_protocol.msgpack import packb, unpackb

EDGES = [
    *(
        sign * (1 << bits) + step
        for bits in (5, 7, 8, 15, 16, 31, 32, 63)
        for sign in (1, -1)
        for step in (-1, 0, 1)
    ),
    (1 << 64) - 1,
]
INTEGERS = [value for value in EDGES if -(1 << 63) <= value < 1 << 64]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.sampled_from(INTEGERS)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=9), inner, max_size=20)
    ),
    max_leaves=30,
)


def same_both_ways(value: Any) -> None:
    theirs = msgpack.packb(value)
    assert packb(value) == theirs
    assert unpackb(theirs) == value == msgpack.unpackb(packb(value))


@settings(max_examples=150, deadline=None)
@given(values)
def test_bytes_are_msgpacks(value: Any) -> None:
    same_both_ways(value)


def test_thousands_of_random_values_are_byte_identical() -> None:
    dice = random.Random(7)

    def anything(depth: int) -> Any:
        kind = dice.randrange(10 if depth < 4 else 7)
        match kind:
            case 0:
                return dice.choice([None, True, False])
            case 1 | 2:
                bits = dice.randrange(65)
                negative = -dice.randrange(1 << min(bits, 63)) - 1
                return dice.choice([dice.randrange(1 << bits), negative])
            case 3:
                return struct.unpack("<d", dice.randbytes(8))[0]
            case 4 | 5:
                return "".join(dice.choices("Aé€😀", k=dice.choice([3, 31, 32, 90])))
            case 6:
                return dice.randbytes(dice.choice([0, 5, 255, 256, 300]))
            case 7 | 8:
                return [anything(depth + 1) for _ in range(dice.choice([0, 2, 3, 16]))]
            case _:
                return {str(i): anything(depth + 1) for i in range(dice.choice([0, 3, 15, 16]))}

    for _ in range(3000):
        value = anything(2)
        packed = msgpack.packb(value)
        assert packb(value) == packed
        assert msgpack.packb(unpackb(packed)) == packed  # NaN equals nothing, its bytes do


@pytest.mark.parametrize("size", [255, 256, 65_535, 65_536])
def test_lengths_at_the_edges(size: int) -> None:
    same_both_ways("x" * size)
    same_both_ways(b"x" * size)
    same_both_ways([1] * size)
    same_both_ways({str(i): i for i in range(size)})


def test_float32_is_understood() -> None:
    assert unpackb(msgpack.packb(0.5, use_single_float=True)) == 0.5


def test_every_truncation_is_refused() -> None:
    packed = packb(
        {"type": "x", "list": [1, -1, 300, 2.5, "é" * 40, b"b" * 300], "map": {"a": None}}
    )
    for end in range(len(packed)):
        with pytest.raises(RemoteProtocolError):
            unpackb(packed[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x01",
        b"\xc1",
        b"\xd4\x00\x00",
        b"\xc7\x01\x01a",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x81\xc0\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\x00",
        b"\xc6\xff\xff\xff\xff",
        b"\xdd" + struct.pack(">I", MAX_ITEMS + 1) + b"\xc0" * (MAX_ITEMS + 1),
        b"\x91" * 5_000 + b"\xc0",
        b"\x91" * (MAX_DEPTH + 1) + b"\xc0",
        b"\xc0" * (MAX_HEADER_BYTES + 1),
    ],
    ids=[
        "trailing",
        "never-used",
        "fixext",
        "ext",
        "no-utf8",
        "array-as-key",
        "nil-as-key",
        "array-of-4G",
        "map-of-4G",
        "bin-of-4G",
        "too-many-items",
        "5000-deep",
        "too-deep",
        "too-long",
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        unpackb(data)
    assert caught.value.message.endswith(".")


def test_random_bytes_never_do_anything_else_than_be_refused() -> None:
    dice = random.Random(3)
    for _ in range(5_000):
        data = dice.randbytes(dice.randrange(1, 60))
        try:
            unpackb(data)
        except RemoteProtocolError:
            pass


def test_the_deepest_allowed_nesting_passes() -> None:
    value: Any = None
    for _ in range(MAX_DEPTH):
        value = [value]
    same_both_ways(value)
    with pytest.raises(LocalProtocolError):
        packb([value])


@pytest.mark.parametrize(
    "value", [1 << 64, -(1 << 63) - 1, object(), {1, 2}, "\ud800", 1j, "x" * MAX_HEADER_BYTES]
)
def test_what_a_header_cannot_hold_is_our_own_fault(value: Any) -> None:
    with pytest.raises(LocalProtocolError):
        packb({"x": value})
