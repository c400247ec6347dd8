# SPDX-License-Identifier: Apache-2.0
"""Every message over the wire and back; headers that do not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pid_protocol import errors, messages
from pid_protocol.errors import InvalidImage, PidError, RemoteProtocolError
from pid_protocol.headers import Message, from_header, to_header
from pid_protocol.limits import MAX_SIDE_PX
from pid_protocol.messages import EVENTS, REQUESTS, Cancel, Progress, Submit
from pid_protocol.msgpack import packb, unpackb
from pid_protocol.pixels import CHANNELS, DEPTHS, PixelFormat, Region

IMAGE = PixelFormat(7, 5, "rgba", "u16", "bgr", "icc", "linear")
SAMPLES: dict[Any, Any] = {
    int: 3,
    float: 0.25,
    str: "ein Wort",
    bytes: b"\x00\xff",
    bool: True,
    dict: {"a": 1},
    list: [{"b": 2}],
    PixelFormat: IMAGE,
    Region: Region(1, 2, 3, 4),
}
ALL = [(cls, allowed) for allowed in (REQUESTS, EVENTS) for cls in allowed]


def filled(cls: type[Any]) -> Any:
    """A message with a value other than the default in every field."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        options = [one for one in typing.get_args(hint) if one is not type(None)]
        kind = typing.get_origin(hint) if typing.get_origin(hint) in (dict, list) else hint
        values[field.name] = SAMPLES[kind if kind in SAMPLES else options[0]]
    return cls(**values)


def ids(pair: tuple[type[Message], Any]) -> str:
    return f"{pair[0].type}-{'request' if pair[1] is REQUESTS else 'event'}"


@pytest.mark.parametrize("pair", ALL, ids=ids)
def test_a_message_comes_back_as_it_went(pair: tuple[type[Message], Any]) -> None:
    cls, allowed = pair
    message = filled(cls)
    header = unpackb(packb(to_header(message, id=9)))
    assert header["type"] == cls.type and header["id"] == 9
    assert from_header(header, allowed) == message


@pytest.mark.parametrize("pair", ALL, ids=ids)
def test_unknown_fields_are_tolerated(pair: tuple[type[Message], Any]) -> None:
    cls, allowed = pair
    message = filled(cls)
    header = {**to_header(message), "from_the_future": [1, {"x": None}]}
    assert from_header(header, allowed) == message


@pytest.mark.parametrize("pair", ALL, ids=ids)
def test_missing_and_wrong_fields_are_refused_by_name(pair: tuple[type[Message], Any]) -> None:
    cls, allowed = pair
    header = to_header(filled(cls))
    for field in dataclasses.fields(cls):
        wrong = {
            **header,
            field.name: {"an": "int"} if not isinstance(header[field.name], dict) else 5,
        }
        with pytest.raises(RemoteProtocolError, match=rf"{cls.type}\.{field.name}"):
            from_header(wrong, allowed)
        without = {name: value for name, value in header.items() if name != field.name}
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if has_default:
            from_header(without, allowed)
        else:
            with pytest.raises(RemoteProtocolError, match=f"{field.name} is missing"):
                from_header(without, allowed)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_junk_in_a_field_is_taken_or_refused_and_nothing_else(pair: Any, data: Any) -> None:
    cls, allowed = pair
    header = to_header(filled(cls))
    name = data.draw(st.sampled_from(sorted(header)))
    header[name] = data.draw(junk)
    if isinstance(header[name], dict) and data.draw(st.booleans()):
        header[name] = {"width": data.draw(junk), "height": 3, "x": 0, "y": data.draw(junk)}
    with contextlib.suppress(RemoteProtocolError):
        from_header(header, allowed)


def test_defaults_stay_off_the_wire() -> None:
    header = to_header(Submit("a" * 32, "upscale", PixelFormat(1, 1)))
    assert set(header) == {"type", "job", "kind", "image"}


@pytest.mark.parametrize(
    "header", [None, 3, [], {}, {"type": "hug"}, {"type": 4}, {"type": "welcome"}]
)
def test_what_is_no_request_is_refused(header: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        from_header(header, REQUESTS)


def test_a_bool_is_no_number_and_an_integer_is_a_float() -> None:
    with pytest.raises(RemoteProtocolError, match="progress.index"):
        from_header({**to_header(Progress("j", "tile", 0.5)), "index": True}, EVENTS)
    built = from_header({"type": "progress", "job": "j", "stage": "tile", "fraction": 1}, EVENTS)
    assert isinstance(built, Progress) and isinstance(built.fraction, float)


def test_request_types_are_told_apart() -> None:
    for group in (REQUESTS, EVENTS):
        names = [cls.type for cls in group]
        assert len(set(names)) == len(names) and all(names)
    listed = {
        cls for cls in vars(messages).values() if isinstance(cls, type) and issubclass(cls, Message)
    }
    assert listed - {Message} == set(REQUESTS) | set(EVENTS)
    assert from_header(to_header(Cancel("x"), id=1), REQUESTS) == Cancel("x")


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_sizes_of_pictures(channels: str, depth: str) -> None:
    image = PixelFormat(7, 5, channels, depth)
    image.check()
    assert image.num_bytes == 35 * CHANNELS[channels] * DEPTHS[depth]
    assert image.has_alpha == channels.endswith("a") or channels == "gray-alpha"


@pytest.mark.parametrize(
    "image",
    [
        PixelFormat(0, 5),
        PixelFormat(5, -1),
        PixelFormat(MAX_SIDE_PX + 1, 1),
        PixelFormat(MAX_SIDE_PX, MAX_SIDE_PX),
        PixelFormat(1, 1, "cmyk"),
        PixelFormat(1, 1, depth="u32"),
        PixelFormat(1, 1, order="grb"),
        PixelFormat(1, 1, profile="lab"),
        PixelFormat(1, 1, encoding="gamma"),
    ],
)
def test_impossible_pictures_are_refused(image: PixelFormat) -> None:
    with pytest.raises(InvalidImage):
        image.check()


def test_every_error_survives_the_wire() -> None:
    for code, cls in errors.ERRORS_BY_CODE.items():
        error = errors.from_wire(code, "It broke.", "Mend it.")
        assert type(error) is cls and error.code == code and str(error) == "It broke. Mend it."
    unknown = errors.from_wire("sunspots", "It broke.")
    assert isinstance(unknown, PidError) and "sunspots" in unknown.message
