# SPDX-License-Identifier: Apache-2.0
"""The XMP packet: where the record lives in every format, beside what the source's packet says."""

from __future__ import annotations

import json
import re
from typing import Any, cast
from xml.sax.saxutils import escape, unescape

NAMESPACE = "https://pid-layers.invalid/ns/1.0/"
"""Identifies our property; `.invalid` because it is a name, not a place."""

_OURS = re.compile(
    rb'\s*<rdf:Description rdf:about="" xmlns:pidl="'
    + re.escape(NAMESPACE.encode())
    + rb'"><pidl:Record>(.*?)</pidl:Record></rdf:Description>',
    re.DOTALL,
)
_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))\s*[1-8]\s*(?=["<])')
_END = b"</rdf:RDF>"
_EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b"</rdf:RDF>\n</x:xmpmeta>\n"
    b'<?xpacket end="r"?>'
)


def upright(xmp: bytes) -> bytes:
    """Set the packet's orientation, where it names one, to 1."""
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def with_record(xmp: bytes, record: dict[str, Any]) -> bytes:
    """Return the packet with this record in it, in place of an older one; none = a new packet."""
    text = escape(json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str))
    ours = (
        f'<rdf:Description rdf:about="" xmlns:pidl="{NAMESPACE}">'
        f"<pidl:Record>{text}</pidl:Record></rdf:Description>\n"
    ).encode()
    packet = _OURS.sub(b"", xmp)
    if _END not in packet:
        packet = _EMPTY
    head, _, tail = packet.rpartition(_END)
    return head + ours + _END + tail


def record_in(xmp: bytes) -> dict[str, Any] | None:
    """The record that a packet holds, or None."""
    found = _OURS.search(xmp)
    if found is None:
        return None
    try:
        record: Any = json.loads(unescape(found[1].decode()))
    except ValueError:  # also UnicodeDecodeError: somebody edited it
        return None
    return cast("dict[str, Any]", record) if isinstance(record, dict) else None
