# SPDX-License-Identifier: Apache-2.0
"""CMYK pixels become sRGB: the engines know no ink."""

from __future__ import annotations

import imagecodecs
import numpy as np

from pid_daemon.files.picture import Pixels


def from_cmyk(ink: Pixels, icc: bytes) -> tuple[Pixels, str]:
    """Convert ink to sRGB.

    Args:
        ink: [H, W, 4] uint8 or uint16; 0 = no ink.
        icc: the file's CMYK profile; without one, the plain (1 - ink) * (1 - black).
    Returns:
        [H, W, 3] of the same depth, and the sentence that tells a person about it.
    """
    ink = np.ascontiguousarray(ink)
    if icc[16:20] == b"CMYK":
        pixels = imagecodecs.cms_transform(
            ink,
            icc,
            imagecodecs.cms_profile("srgb"),
            colorspace="cmyk",
            outcolorspace="rgb",
            outdtype=ink.dtype,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
        )
        return pixels, "CMYK was converted to sRGB by the file's own profile."
    top = np.iinfo(ink.dtype).max
    paper = (top - ink.astype(np.float32)) / top
    pixels = np.rint(paper[..., :3] * paper[..., 3:] * top).astype(ink.dtype)
    return pixels, "CMYK without a profile was converted to sRGB by a plain formula."
