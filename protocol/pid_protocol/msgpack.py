# SPDX-License-Identifier: Apache-2.0
"""A subset of msgpack: nil, bool, 64-bit integers, float, str, bin, array, map; no extension types.

What `packb` writes is byte for byte what the usual implementation writes. `unpackb` checks every
length against
what is there, and depth and counts against the limits, before it makes anything.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

from .errors import LocalProtocolError, RemoteProtocolError
from .limits import MAX_DEPTH, MAX_HEADER_BYTES, MAX_ITEMS


def packb(value: Any) -> bytes:
    """Encode a value.

    Raises:
        LocalProtocolError: a type that headers do not have, an integer beyond 64 bits, nested too
        deeply, or too long.
    """
    out = bytearray()
    _pack(value, out, 0)
    if len(out) > MAX_HEADER_BYTES:
        raise LocalProtocolError(
            f"A header has {len(out)} bytes; at most {MAX_HEADER_BYTES} are sent."
        )
    return bytes(out)


def unpackb(data: bytes | bytearray | memoryview) -> Any:
    """Decode exactly one value; arrays become lists.

    Raises:
        RemoteProtocolError: truncated, trailing bytes, beyond a limit, or a type that headers do
        not have.
    """
    if len(data) > MAX_HEADER_BYTES:
        raise RemoteProtocolError(
            f"A header has {len(data)} bytes; at most {MAX_HEADER_BYTES} are taken."
        )
    reader = _Reader(bytes(data))
    value = reader.value(0)
    if reader.position != len(reader.data):
        raise RemoteProtocolError(
            f"{len(reader.data) - reader.position} bytes follow the end of a header."
        )
    return value


def _pack(value: Any, out: bytearray, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise LocalProtocolError(f"A header is nested more than {MAX_DEPTH} deep.")
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_int(value, out)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"A text is not valid Unicode: {error}.") from error
        _pack_length(len(text), out, (0xA0, 32), (0xD9, 0xDA, 0xDB))
        out += text
    elif isinstance(value, (bytes, bytearray)):
        _pack_length(len(value), out, None, (0xC4, 0xC5, 0xC6))
        out += value
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        _pack_length(len(items), out, (0x90, 16), (None, 0xDC, 0xDD))
        for item in items:
            _pack(item, out, depth + 1)
    elif isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        _pack_length(len(pairs), out, (0x80, 16), (None, 0xDE, 0xDF))
        for key, item in pairs.items():
            _pack(key, out, depth + 1)
            _pack(item, out, depth + 1)
    else:
        raise LocalProtocolError(
            f"A header cannot hold a value of the type {type(value).__name__}."
        )


def _pack_int(value: int, out: bytearray) -> None:
    if 0 <= value < 0x80 or -0x20 <= value < 0:
        out.append(value & 0xFF)
        return
    for layout, code, end in _UNSIGNED if value >= 0 else _SIGNED:
        if value < end if value >= 0 else value >= -end:
            out += struct.pack(layout, code, value)
            return
    raise LocalProtocolError(f"The integer {value} does not fit into 64 bits.")


def _pack_length(
    length: int,
    out: bytearray,
    short: tuple[int, int] | None,
    codes: tuple[int | None, int, int],
) -> None:
    if short and length < short[1]:
        out.append(short[0] | length)
    elif codes[0] is not None and length < 1 << 8:
        out += struct.pack(">BB", codes[0], length)
    elif length < 1 << 16:
        out += struct.pack(">BH", codes[1], length)
    elif length < 1 << 32:
        out += struct.pack(">BI", codes[2], length)
    else:
        raise LocalProtocolError(f"A header cannot hold {length} items.")


_UNSIGNED = (
    (">BB", 0xCC, 1 << 8), (">BH", 0xCD, 1 << 16), (">BI", 0xCE, 1 << 32), (">BQ", 0xCF, 1 << 64),
)  # fmt: skip
_SIGNED = (
    (">Bb", 0xD0, 1 << 7), (">Bh", 0xD1, 1 << 15), (">Bi", 0xD2, 1 << 31), (">Bq", 0xD3, 1 << 63),
)  # fmt: skip
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_LENGTHS = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class _Reader:
    """Reads values from the front of `data`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(f"A header is nested more than {MAX_DEPTH} deep.")
        code = self._take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code < 0x90:
            return self._sized("map", code & 0x0F, depth)
        if code < 0xA0:
            return self._sized("array", code & 0x0F, depth)
        if code < 0xC0:
            return self._sized("str", code & 0x1F, depth)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _LENGTHS:
            kind, layout = _LENGTHS[code]
            return self._sized(kind, self._number(layout), depth)
        raise RemoteProtocolError(
            f"The byte 0x{code:02x} does not begin a value that headers have."
        )

    def _sized(self, kind: str, length: int, depth: int) -> Any:
        if kind == "bin":
            return self._take(length)
        if kind == "str":
            try:
                return self._take(length).decode()
            except UnicodeDecodeError as error:
                raise RemoteProtocolError(f"A text in a header is not UTF-8: {error}.") from error
        if length > MAX_ITEMS or length > len(self.data) - self.position:
            raise RemoteProtocolError(
                f"An array or map of {length} entries: more than are there, or than {MAX_ITEMS}."
            )
        if kind == "array":
            return [self.value(depth + 1) for _ in range(length)]
        return dict(self._pair(depth + 1) for _ in range(length))

    def _pair(self, depth: int) -> tuple[Any, Any]:
        key = self.value(depth)
        if not isinstance(key, (str, int, bytes)):
            raise RemoteProtocolError(f"A key of a map has the type {type(key).__name__}.")
        return key, self.value(depth)

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self.data):
            raise RemoteProtocolError(
                f"A header ends after {len(self.data)} bytes where {end} are needed."
            )
        part = self.data[self.position : end]
        self.position = end
        return part
