# SPDX-License-Identifier: Apache-2.0
"""Pixels as documents hold them: sample formats, colour profiles, alpha, resampling, the colour
lock."""

from pid_core.pixels.format import PictureFormat
from pid_core.pixels.picture import Picture, blank, pack, unpack

__all__ = ["Picture", "PictureFormat", "blank", "pack", "unpack"]
