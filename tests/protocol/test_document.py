# SPDX-License-Identifier: Apache-2.0
"""docs/protocol.md against the code: version, messages, fields, errors, limits, pixel formats."""

from __future__ import annotations

import dataclasses
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from pid_protocol import PROTOCOL_VERSION, errors, limits
from pid_protocol.errors import ConnectError, JobError, PidError, ProtocolError
from pid_protocol.headers import Message
from pid_protocol.messages import EVENTS, REQUESTS, Band, Credit
from pid_protocol.pixels import CHANNELS, DEPTHS, ENCODINGS, ORDERS, PROFILES, PixelFormat, Region

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
TYPES = {
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    bool: "bool",
    PixelFormat: "PixelFormat",
    Region: "Region",
}


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)
    assert found, f"the document has no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """A table's cells without the two rows of its head."""
    lines = [line.strip("| \n") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def messages_in(title: str) -> dict[str, str]:
    parts = re.split(r"^### `([a-z-]+)`$", section(title), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


REQUEST_TEXTS = messages_in("Requests, client to daemon")
EVENT_TEXTS = messages_in("Answers and events, daemon to client")


def documented(hint: Any) -> str:
    """A field's type as the document calls it."""
    options = [one for one in typing.get_args(hint) if one is not type(None)]
    origin = typing.get_origin(hint)
    if origin is dict:
        return "map"
    if origin is list:
        return "array of maps" if typing.get_origin(options[0]) is dict else "array of str"
    return TYPES[options[0] if options else hint]


def default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return "none"
    return f"`{field.default}`"


def test_the_version_is_the_codes() -> None:
    assert re.search(r"^Version: \*\*(\d+)\*\*$", TEXT, re.M)[1] == str(PROTOCOL_VERSION)  # type: ignore[index]


def test_each_message_has_its_section() -> None:
    assert list(REQUEST_TEXTS) == [cls.type for cls in REQUESTS]
    shared = {Band.type, Credit.type}
    assert list(EVENT_TEXTS) == [cls.type for cls in EVENTS if cls.type not in shared]
    assert "`band` and `credit` also go in this direction" in section(
        "Answers and events, daemon to client"
    )


@pytest.mark.parametrize(
    "cls, text",
    [(cls, REQUEST_TEXTS.get(cls.type) or EVENT_TEXTS[cls.type]) for cls in {*REQUESTS, *EVENTS}],
    ids=lambda value: value.type if isinstance(value, type) else "",
)
def test_fields_types_and_defaults_are_the_codes(cls: type[Message], text: str) -> None:
    hints = typing.get_type_hints(cls)
    expected = [
        [f"`{field.name}`", documented(hints[field.name]), default(field)]
        for field in dataclasses.fields(cls)
    ]
    assert [row[:3] for row in rows(text)] == expected
    assert all(len(row) == 4 and row[3] for row in rows(text))
    assert bool(expected) != ("No fields." in text)


def test_error_codes_are_the_codes() -> None:
    bases = {PidError, ConnectError, ProtocolError, JobError}
    codes = [code for code, cls in errors.ERRORS_BY_CODE.items() if cls not in bases]
    table = rows(section("Errors"))
    assert sorted(row[0].strip("`") for row in table) == sorted(codes)
    for code, when in table:
        assert when == " ".join((errors.ERRORS_BY_CODE[code.strip("`")].__doc__ or "").split())


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\w+)", errors.__doc__ or "")
    bases = {PidError, ConnectError, ProtocolError, JobError}
    assert dict(drawn) == {
        cls.__name__: code for code, cls in errors.ERRORS_BY_CODE.items() if cls not in bases
    }


def test_limits_are_the_codes() -> None:
    listed = {row[0].strip("`"): int(row[1]) for row in rows(section("Limits"))}
    assert listed == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_pixel_formats_are_the_codes() -> None:
    text = section("Pixels")
    for name, choices in (
        ("channels", CHANNELS),
        ("depth", DEPTHS),
        ("order", ORDERS),
        ("profile", PROFILES),
        ("encoding", ENCODINGS),
    ):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        named = set(re.findall(r"`([a-z0-9-]+)`", row)) - {name}
        assert named == set(choices)
    fields = {field.name for field in dataclasses.fields(PixelFormat)}
    assert fields == set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows(text))))
