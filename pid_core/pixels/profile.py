# SPDX-License-Identifier: Apache-2.0
"""Reading ICC profiles: primaries and tone curves of matrix and grey profiles, in numbers that know
no bounds.

LittleCMS clips floats outside 0..1 as soon as a tone curve is a table; our own evaluation of the
same tags does not, so that values above 1 survive. Profiles made of tables (`A2B0`) go through
LittleCMS, see `space`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pid_core.pixels.curves import to_linear, to_perceptual

SRGB_TO_D50 = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
"""Linear sRGB to XYZ of the profile connection space. Source: IEC 61966-2-1, Bradford-adapted to
D50."""
_SAME_CURVE = 1e-3
"""Curves that differ by less, perceptually, count as the sRGB curve; nothing is lost by that, see
`space`."""


class ProfileError(Exception):
    """The bytes are not a profile that can be used; says why."""


@dataclass(frozen=True)
class Curve:
    """A tone curve: encoded value to linear light, and back."""

    gamma: tuple[float, ...] = ()
    """Parameters g, a, b, c, d, e, f of y = (a x + b)^g + e for x >= d, c x + f below; empty = a
    table."""
    table: tuple[float, ...] = ()
    """Linear light at equal steps of the encoded value; empty = parameters."""

    def working(self, encoded: Tensor) -> Tensor:
        """Encoded values to the sRGB curve's encoding of the same light; the sign is mirrored."""
        if self.table:
            return _interpolate(encoded, self._nodes())
        g, a, b, c, d, e, f = self.gamma
        size = encoded.abs()
        power = (a * size + b).clamp_min(0).pow(g) + e
        linear = torch.where(size >= d, power, c * size + f)
        return to_perceptual(linear.copysign(encoded))

    def encoded(self, working: Tensor) -> Tensor:
        """The inverse of `working`."""
        if self.table:
            return _uninterpolate(working, self._nodes())
        g, a, b, c, d, e, f = self.gamma
        linear = to_linear(working)
        size = linear.abs()
        power = ((size - e).clamp_min(0).pow(1 / g) - b) / a
        if d <= 0 or c == 0:
            return power.clamp_min(0).copysign(linear)
        return torch.where(size >= c * d + f, power, (size - f) / c).copysign(linear)

    @property
    def is_srgb(self) -> bool:
        """Whether it is the sRGB curve to within what nobody could see."""
        x = torch.linspace(0, 1, 257)
        return bool((self.working(x) - x).abs().max() < _SAME_CURVE)

    def _nodes(self) -> Tensor:
        nodes = to_perceptual(torch.tensor(self.table, dtype=torch.float64))
        # A flat piece has no inverse: lift it by less than half a 16-bit level.
        lift = torch.linspace(0, 1e-6, len(nodes), dtype=torch.float64)
        return (torch.cummax(nodes, 0).values + lift).to(torch.float32)


@dataclass(frozen=True)
class Profile:
    """What was found in a profile."""

    colours: str
    """Signature of the colour space: `RGB `, `GRAY`, `CMYK`, …"""
    matrix: np.ndarray | None
    """[3, 3]: linear light on the profile's primaries to linear sRGB; None = a profile of
    tables."""
    curves: tuple[Curve, ...]
    """One tone curve for grey, three for R, G, B; empty for a profile of tables."""


def parse(icc: bytes) -> Profile:
    """Read a profile's colour.

    Raises:
        ProfileError: the bytes are no profile, or lack a tag that they need.
    """
    if len(icc) < 132 or icc[36:40] != b"acsp":
        raise ProfileError("it is not an ICC profile")
    colours = icc[16:20].decode("latin-1")
    try:
        tags = _tags(icc)
        if b"A2B0" in tags and colours != "GRAY":
            return Profile(colours, None, ())
        if colours == "GRAY":
            return Profile(colours, np.eye(3), (_curve(tags[b"kTRC"]),))
        if colours == "RGB ":
            columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
            matrix = np.linalg.inv(SRGB_TO_D50) @ np.array(columns).T
            np.linalg.inv(matrix)
            curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
            return Profile(colours, matrix, curves)
    except KeyError as error:
        raise ProfileError(f"the tag {error.args[0].decode('latin-1')} is missing") from error
    except (struct.error, np.linalg.LinAlgError, IndexError) as error:
        raise ProfileError(f"its tags are damaged ({error})") from error
    return Profile(colours, None, ())


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 1000:
        raise ProfileError(f"it claims {count} tags")
    tags: dict[bytes, bytes] = {}
    for i in range(count):
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
        if offset + size > len(icc):
            raise ProfileError("a tag lies beyond its end")
        tags[name] = icc[offset : offset + size]
    return tags


def _xyz(tag: bytes) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(">3i", tag, 8))


def _curve(tag: bytes) -> Curve:
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return Curve(gamma=(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        if count == 1:
            (gamma,) = struct.unpack_from(">H", tag, 12)
            return Curve(gamma=(max(gamma, 1) / 256, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        if 12 + 2 * count > len(tag):
            raise ProfileError("a tone curve is cut off")
        values = np.frombuffer(tag, ">u2", count, 12) / 65535
        return Curve(table=tuple(values.tolist()))
    if kind == b"para":
        (function,) = struct.unpack_from(">H", tag, 8)
        count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(function)
        if count is None:
            raise ProfileError(f"a tone curve has the unknown type {function}")
        p = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
        g = max(p[0], 1e-3)
        if function == 0:
            return Curve(gamma=(g, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        a, b = p[1] or 1.0, p[2]
        if function == 1:
            return Curve(gamma=(g, a, b, 0.0, max(-b / a, 0.0), 0.0, 0.0))
        if function == 2:
            return Curve(gamma=(g, a, b, 0.0, max(-b / a, 0.0), p[3], p[3]))
        if function == 3:
            return Curve(gamma=(g, a, b, p[3], p[4], 0.0, 0.0))
        return Curve(gamma=(g, a, b, p[3], p[4], p[5], p[6]))
    raise ProfileError(f"a tone curve has the unknown type {kind!r}")


def _interpolate(x: Tensor, nodes: Tensor) -> Tensor:
    """Piecewise linear through `nodes` at equal steps of [0, 1]; the end pieces go on, the sign is
    mirrored."""
    nodes = nodes.to(x.device)
    position = x.abs() * (len(nodes) - 1)
    low = position.floor().clamp_(0, len(nodes) - 2)
    part = position - low
    low = low.long()
    start = nodes[low]
    return (start + (nodes[low + 1] - start) * part).copysign(x)


def _uninterpolate(y: Tensor, nodes: Tensor) -> Tensor:
    nodes = nodes.to(y.device)
    size = y.abs().contiguous()
    low = torch.searchsorted(nodes, size, right=True).sub_(1).clamp_(0, len(nodes) - 2)
    start = nodes[low]
    part = (size - start) / (nodes[low + 1] - start)
    return ((low + part).clamp_min(0) / (len(nodes) - 1)).copysign(y)
