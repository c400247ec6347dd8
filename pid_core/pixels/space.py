# SPDX-License-Identifier: Apache-2.0
"""From a picture's own colour to what an engine reads, and back, with nothing lost on the way.

Three encodings occur. *Native*: the picture's samples. *Working*: the sRGB tone curve on the
picture's own primaries, continued beyond 0 and 1; native and working are exact inverses of each
other. *Engine*: sRGB.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pid_core.pixels.curves import to_linear, to_perceptual
from pid_core.pixels.format import PictureFormat
from pid_core.pixels.profile import Curve, Profile, ProfileError, parse

_SAME_PRIMARIES = 2e-3
_LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of R, G, B in grey. Source: ITU-R BT.709."""


class Space:
    """Conversions for one colour space: sRGB, a matrix profile or grey."""

    def __init__(
        self,
        *,
        gray: bool,
        curves: tuple[Curve, ...] | None,
        linear: bool,
        matrix: np.ndarray | None,
    ) -> None:
        self._gray = gray
        self._curves = curves
        self._linear = linear
        self._matrix = None if matrix is None else torch.from_numpy(matrix)

    @property
    def has_own_primaries(self) -> bool:
        """Whether working and engine encoding differ in their primaries."""
        return self._matrix is not None

    def to_working(self, native: Tensor) -> Tensor:
        """[C, h, w] samples to the working encoding."""
        if self._linear:
            return to_perceptual(native)
        if self._curves is None:
            return native
        planes = [curve.working(plane) for curve, plane in zip(self._curves, native, strict=True)]
        return torch.stack(planes)

    def to_native(self, working: Tensor) -> Tensor:
        """[C, h, w] working encoding to samples."""
        if self._linear:
            return to_linear(working)
        if self._curves is None:
            return working
        planes = [curve.encoded(plane) for curve, plane in zip(self._curves, working, strict=True)]
        return torch.stack(planes)

    def to_engine(self, working: Tensor) -> Tensor:
        """[C, h, w] working encoding to [3, h, w] sRGB, not clipped."""
        if self._gray:
            return working.expand(3, -1, -1)
        if self._matrix is None:
            return working
        return _converted(working, self._matrix)

    def from_engine(self, srgb: Tensor) -> Tensor:
        """[3, h, w] sRGB to [C, h, w] working encoding."""
        if self._gray:
            weights = torch.tensor(_LUMA, dtype=srgb.dtype, device=srgb.device)
            return (srgb * weights[:, None, None]).sum(0, keepdim=True)
        if self._matrix is None:
            return srgb
        return _converted(srgb, torch.linalg.inv(self._matrix))


class TableSpace(Space):
    """Conversions by LittleCMS for profiles that are made of tables; the working encoding is the
    native one."""

    def __init__(self, icc: bytes) -> None:
        super().__init__(gray=False, curves=None, linear=False, matrix=None)
        self._icc = icc

    @property
    def has_own_primaries(self) -> bool:
        """It always has."""
        return True

    def to_engine(self, working: Tensor) -> Tensor:
        """[3, h, w] samples to sRGB."""
        return _by_littlecms(working, self._icc, _srgb_profile())

    def from_engine(self, srgb: Tensor) -> Tensor:
        """[3, h, w] sRGB to samples."""
        return _by_littlecms(srgb, _srgb_profile(), self._icc)


def space_of(fmt: PictureFormat) -> tuple[Space, list[str]]:
    """The conversions for a format, and sentences about what could not be honoured."""
    return _space(fmt.icc, fmt.is_gray, fmt.encoding)


@lru_cache(maxsize=16)
def _space(icc: bytes | None, gray: bool, encoding: str) -> tuple[Space, list[str]]:
    linear = encoding == "linear"
    plain = Space(gray=gray, curves=None, linear=linear, matrix=None)
    if icc is None:
        return plain, []
    try:
        profile = parse(icc)
        wanted = "GRAY" if gray else "RGB "
        if profile.colours != wanted:
            raise ProfileError(
                f"it describes {profile.colours.strip()}, and the picture is {wanted.strip()}"
            )
    except ProfileError as error:
        return plain, [f"The ICC profile was passed on but not used: {error}."]
    if profile.matrix is None:
        notes = []
        if encoding != "profile":
            notes.append("The ICC profile is made of tables; the picture is read as it says.")
        return TableSpace(icc), notes
    return _matrix_space(profile, gray, encoding), []


def _matrix_space(profile: Profile, gray: bool, encoding: str) -> Space:
    curves = None
    if encoding == "profile" and not all(curve.is_srgb for curve in profile.curves):
        curves = profile.curves
    matrix = profile.matrix
    if matrix is not None and (gray or np.abs(matrix - np.eye(3)).max() < _SAME_PRIMARIES):
        matrix = None
    return Space(gray=gray, curves=curves, linear=encoding == "linear", matrix=matrix)


def _converted(working: Tensor, matrix: Tensor) -> Tensor:
    matrix = matrix.to(working.device, working.dtype)
    linear = to_linear(working)
    return to_perceptual((matrix @ linear.flatten(1)).view_as(linear))


def _by_littlecms(planes: Tensor, source: bytes, target: bytes) -> Tensor:
    import imagecodecs

    pixels = np.ascontiguousarray(planes.permute(1, 2, 0).numpy(force=True), dtype=np.float32)
    done = imagecodecs.cms_transform(
        pixels, source, target, colorspace="rgb", outcolorspace="rgb", outdtype=np.float32
    )
    return torch.from_numpy(done).permute(2, 0, 1).to(planes.device)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    import imagecodecs

    return imagecodecs.cms_profile("srgb")
