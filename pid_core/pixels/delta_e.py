# SPDX-License-Identifier: Apache-2.0
"""CIEDE2000, the colour difference in steps that a person can just see."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Linear sRGB (D65) to XYZ relative to its own white. Source: IEC 61966-2-1.
_TO_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def to_lab(linear: Tensor) -> Tensor:
    """[3, ...] linear sRGB to CIE L*a*b*."""
    matrix = torch.tensor(_TO_XYZ, dtype=linear.dtype, device=linear.device)
    xyz = (matrix @ linear.clamp_min(0).flatten(1)).view_as(linear)
    small = 6 / 29
    f = torch.where(
        xyz > small**3, xyz.clamp_min(small**3).pow(1 / 3), xyz / (3 * small**2) + 4 / 29
    )
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def delta_e_2000(first: Tensor, second: Tensor) -> Tensor:
    """Difference of two [3, ...] pictures in linear sRGB.

    Source: Sharma, Wu, Dalal, The CIEDE2000 color-difference formula, 2005.
    """
    return lab_delta_e_2000(to_lab(first), to_lab(second))


def lab_delta_e_2000(first: Tensor, second: Tensor) -> Tensor:
    """Difference of two [3, ...] pictures in L*a*b*."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_c7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - (mean_c7 / (mean_c7 + 25.0**7)).sqrt())
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = torch.atan2(b1, a1), torch.atan2(b2, a2)
    grey = (c1 * c2) == 0
    turn = torch.remainder(h2 - h1 + math.pi, 2 * math.pi) - math.pi
    turn = torch.where(grey, torch.zeros_like(turn), turn)
    mean_h = torch.where(grey, torch.where(c1 == 0, h2, h1), h1 + turn / 2)
    d_l, d_c, d_h = l2 - l1, c2 - c1, 2 * (c1 * c2).sqrt() * torch.sin(turn / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    degree = math.pi / 180
    t = (
        1
        - 0.17 * torch.cos(mean_h - 30 * degree)
        + 0.24 * torch.cos(2 * mean_h)
        + 0.32 * torch.cos(3 * mean_h + 6 * degree)
        - 0.20 * torch.cos(4 * mean_h - 63 * degree)
    )
    bend = 30 * torch.exp(-(((torch.remainder(mean_h / degree, 360) - 275) / 25) ** 2))
    c7 = mean_c**7
    rotation = -2 * (c7 / (c7 + 25.0**7)).sqrt() * torch.sin(2 * bend * degree)
    off = (mean_l - 50) ** 2
    s_l = 1 + 0.015 * off / (20 + off).sqrt()
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    x, y, z = d_l / s_l, d_c / s_c, d_h / s_h
    return (x * x + y * y + z * z + rotation * y * z).clamp_min(0).sqrt()
