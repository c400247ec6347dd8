# SPDX-License-Identifier: Apache-2.0
"""The bytes of a colour profile.

Krita's API names profiles and never hands out their bytes, but it writes them into files: a PNG
of one pixel in that profile has them in its iCCP chunk.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path

from krita import InfoObject, Krita

_kept: dict[tuple[str, str], bytes | None] = {}


def icc_bytes(model: str, profile: str) -> bytes | None:
    """The profile's bytes; None when Krita does not write them."""
    key = (model, profile)
    if key not in _kept:
        _kept[key] = _exported(model, profile)
    return _kept[key]


def iccp(png: bytes) -> bytes | None:
    """The profile inside a PNG file's iCCP chunk.

    Args:
        png: a whole file.
    """
    position = 8
    while position + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        body = png[position + 8 : position + 8 + length]
        if name == b"iCCP":
            return zlib.decompress(body[body.index(b"\0") + 2 :])
        position += 12 + length
    return None


def _exported(model: str, profile: str) -> bytes | None:
    document = Krita.instance().createDocument(1, 1, "profile", model, "U8", profile, 72.0)
    if document is None:
        return None
    document.setBatchmode(True)
    info = InfoObject()
    for name, value in (("alpha", True), ("compression", 1), ("saveSRGBProfile", True)):
        info.setProperty(name, value)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "profile.png"
            if not document.exportImage(str(path), info):
                return None
            return iccp(path.read_bytes())
    finally:
        document.setModified(False)
        document.close()
