# SPDX-License-Identifier: Apache-2.0
"""Headers as msgpack, with the limits of docs/protocol.md checked before anything is built from
them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from pid_protocol.errors import RemoteProtocolError
from pid_protocol.limits import MAX_DEPTH, MAX_HEADER_BYTES, MAX_ITEMS

Buffer = bytes | bytearray | memoryview
"""Bytes, wherever they lie."""


# msgpack has no types of its own.
_packb = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_unpackb = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]


def pack_header(header: dict[str, Any]) -> bytes:
    """Encode one header map."""
    return _packb(header, use_bin_type=True)


def unpack_header(data: Buffer) -> dict[str, Any]:
    """Decode one header.

    Raises:
        RemoteProtocolError: too long, too deep, too many entries, not msgpack, or not a map.
    """
    view = memoryview(data)
    if view.nbytes > MAX_HEADER_BYTES:
        raise RemoteProtocolError(
            f"A header has {view.nbytes} bytes; at most {MAX_HEADER_BYTES} are taken."
        )
    try:
        value: Any = _unpackb(
            view, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, ext_hook=_no_extension
        )
    except (ValueError, RecursionError, OverflowError) as error:  # msgpack's errors are ValueErrors
        raise RemoteProtocolError(
            f"A header is not valid msgpack: {type(error).__name__}."
        ) from None
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"A header is a map, not {type(value).__name__}.")
    header = cast(dict[str, Any], value)
    _check_depth(header)
    return header


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def _check_depth(header: dict[str, Any]) -> None:
    level: list[Any] = [header]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            below += [child for child in _children(container) if isinstance(child, (dict, list))]
        if not below:
            return
        level = below
    raise RemoteProtocolError(f"A header is nested deeper than {MAX_DEPTH} levels.")


def _children(container: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container
