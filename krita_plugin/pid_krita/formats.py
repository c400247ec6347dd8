# SPDX-License-Identifier: Apache-2.0
"""Krita's colour models in the protocol's words. Pure: no Krita, no Qt."""

from __future__ import annotations

from collections.abc import Iterator

from pid_protocol.pixels import PixelFormat

_DEPTHS = {"U8": "u8", "U16": "u16", "F16": "f16", "F32": "f32"}
_CHANNELS = {"RGBA": "rgba", "GRAYA": "gray-alpha"}
_SRGB = ("srgb-elle-v2-srgbtrc.icc", "srgb built-in", "srgb iec61966-2.1")
_SRGB_LINEAR = ("srgb-elle-v2-g10.icc",)
STRIP_BYTES = 4 << 20
"""Read or written at once: about 10 ms, so that the window stays awake."""
WORKING_SPACE = ("RGBA", "sRGB-elle-V2-srgbtrc.icc")
"""Model and profile that anything else is converted to."""


def is_native(model: str, depth: str) -> bool:
    """Whether layers of that kind are sent as they are; CMYK, Lab and others are converted."""
    return model in _CHANNELS and depth in _DEPTHS


def converted_depth(depth: str) -> str:
    """Depth of the copy that a layer of another model is converted to: never fewer bits."""
    return depth if depth in _DEPTHS else "U16"


def pixel_format(model: str, depth: str, width: int, height: int) -> PixelFormat:
    """How Krita stores such pixels: integers are B, G, R, A, floats R, G, B, A."""
    return PixelFormat(
        width,
        height,
        channels=_CHANNELS[model],
        depth=_DEPTHS[depth],
        order="bgr" if model == "RGBA" and depth in ("U8", "U16") else "rgb",
    )


def encoding_of_srgb(profile: str) -> str | None:
    """`profile` or `linear` when a profile's name is one of sRGB's; None = its bytes are needed."""
    name = profile.casefold()
    if name in _SRGB:
        return "profile"
    return "linear" if name in _SRGB_LINEAR else None


def krita_space(image: PixelFormat) -> tuple[str, str, str]:
    """Krita's model, depth and profile for a picture that is sRGB."""
    models = {channels: model for model, channels in _CHANNELS.items()}
    depths = {depth: name for name, depth in _DEPTHS.items()}
    return models.get(image.channels, "RGBA"), depths[image.depth], WORKING_SPACE[1]


def strips(image: PixelFormat) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each strip of a picture."""
    rows = max(1, STRIP_BYTES // image.row_bytes)
    for first in range(0, image.height, rows):
        yield first, min(rows, image.height - first)
