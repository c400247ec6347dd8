# SPDX-License-Identifier: Apache-2.0
"""The small table that training prints: how far the network is above Lanczos."""

import math

import numpy as np
import torch
from PIL import Image

from pid_core.networks.compact import UPSCALE, CompactNet
from training.degrade import jpeg
from training.feed import to_tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601)."""
CROP_PX = 320


def psnr_y(output: np.ndarray, sharp: np.ndarray, shave_px: int = 4) -> float:
    """PSNR of luma in dB between two uint8 [H, W, 3] pictures, without a border of `shave_px`."""
    inner = slice(shave_px, -shave_px)
    error = (output.astype(np.float64) - sharp.astype(np.float64))[inner, inner] @ LUMA
    return 10 * math.log10(255**2 / max(float((error**2).mean()), 1e-10))


def gains_over_lanczos(net: CompactNet, photographs: list[np.ndarray]) -> dict[str, float]:
    """Mean gain in dB of luma over Lanczos at repair 0, for each kind of damage.

    Args:
        net: the network, float32; computed in bfloat16.
        photographs: uint8 [H, W, 3] arrays of at least `CROP_PX`; their centres are used.
    """
    rng = np.random.default_rng(5)
    gains: dict[str, list[float]] = {}
    small_px = CROP_PX // UPSCALE
    for photograph in photographs:
        top, left = ((side - CROP_PX) // 2 for side in photograph.shape[:2])
        sharp = photograph[top : top + CROP_PX, left : left + CROP_PX]
        clean = Image.fromarray(sharp).resize((small_px, small_px), Image.Resampling.BICUBIC)
        noisy = np.asarray(clean, dtype=np.float32) + rng.normal(0, 5, (small_px, small_px, 3))
        damaged = {
            "clean": clean,
            "noise 5": Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)),
            "jpeg 85": jpeg(clean, 85, subsampling=2),
            "jpeg 60": jpeg(clean, 60, subsampling=2),
        }
        for name, small in damaged.items():
            lanczos = np.asarray(small.resize((CROP_PX, CROP_PX), Image.Resampling.LANCZOS))
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                output = net(to_tensor(np.asarray(small)[None]), torch.zeros(1))
            pixels = output[0].float().add(1).mul(127.5).round().clamp(0, 255).byte()
            gain = psnr_y(pixels.permute(1, 2, 0).numpy(), sharp) - psnr_y(lanczos, sharp)
            gains.setdefault(name, []).append(gain)
    return {name: round(float(np.mean(values)), 3) for name, values in gains.items()}
