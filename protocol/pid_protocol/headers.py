# SPDX-License-Identifier: Apache-2.0
"""Between a message and its header map, and the checks of a header's shape.

Unknown fields are ignored, so that both sides may grow.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from .errors import RemoteProtocolError
from .pixels import PixelFormat, Region


@dataclass(frozen=True)
class Message:
    """Base of all messages."""

    type: ClassVar[str] = ""


def to_header(message: Message, **envelope: int) -> dict[str, Any]:
    """Turn a message into its header map; None and default values are left off the wire.

    Args:
        message: any message.
        envelope: `id` or `re`.
    """
    header: dict[str, Any] = {"type": message.type, **envelope}
    for spec in dataclasses.fields(message):
        value = getattr(message, spec.name)
        if value is None or value == _default_of(spec):
            continue
        is_nested = isinstance(value, (PixelFormat, Region))
        header[spec.name] = dataclasses.asdict(value) if is_nested else value
    return header


def from_header(header: Any, allowed: tuple[type[Message], ...]) -> Message:
    """Build the message that a header map stands for.

    Args:
        header: what the msgpack frame held.
        allowed: REQUESTS or EVENTS, whichever this side may receive.
    Raises:
        RemoteProtocolError: not a map, unknown type, a field missing or of the wrong type.
    """
    if not isinstance(header, dict):
        raise RemoteProtocolError(f"A header is a map, not {type(header).__name__}.")
    values = cast("dict[Any, Any]", header)
    name = values.get("type")
    for cls in allowed:
        if cls.type == name:
            return _build(cls, values, cls.type)
    raise RemoteProtocolError(f"There is no message type {name!r} in this direction.")


def _default_of(spec: dataclasses.Field[Any]) -> Any:
    if spec.default_factory is not dataclasses.MISSING:
        return spec.default_factory()
    return spec.default


def _build(cls: type[Any], values: dict[Any, Any], where: str) -> Any:
    arguments: dict[str, Any] = {}
    hints = _hints(cls)
    for spec in dataclasses.fields(cls):
        if spec.name in values:
            arguments[spec.name] = _checked(
                values[spec.name], hints[spec.name], f"{where}.{spec.name}"
            )
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise RemoteProtocolError(f"The field {where}.{spec.name} is missing.")
    return cls(**arguments)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as `hint` wants it, or raise RemoteProtocolError."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        return _checked(value, hint, where)
    if hint in (PixelFormat, Region):
        if isinstance(value, dict):
            return _build(hint, cast("dict[Any, Any]", value), where)
    elif origin in (list, dict):
        if isinstance(value, origin):
            return cast(Any, value)
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise RemoteProtocolError(
        f"The field {where} has the type {type(value).__name__}, which does not fit."
    )
