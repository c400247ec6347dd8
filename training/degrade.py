# SPDX-License-Identifier: Apache-2.0
"""Make the damaged small picture for a sharp large one: the data recipe of `compact`.

Pictures are uint8 RGB arrays [H, W, 3]. Random numbers come from the generator handed in.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

UPSCALE = 4
MARGIN_PX = 8
"""Source pixels cut from each side of the small picture, so that no filter saw a border and the
JPEG grid lies anywhere."""

_KERNELS = (
    (Image.Resampling.BICUBIC, 0.68),
    (Image.Resampling.BOX, 0.10),
    (Image.Resampling.LANCZOS, 0.13),
    (Image.Resampling.BILINEAR, 0.05),
    (Image.Resampling.HAMMING, 0.04),
)


def jpeg(image: Image.Image, quality: int, subsampling: int) -> Image.Image:
    """Encode and decode as JPEG; `subsampling` 0 is 4:4:4, 2 is 4:2:0."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(buffer).convert("RGB")


def add_noise(image: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """Add Gaussian noise of `sigma` grey levels; a quarter of the time the same in all channels."""
    channels = 1 if rng.random() < 0.25 else 3
    noise = rng.standard_normal((image.height, image.width, channels), dtype=np.float32) * sigma
    pixels = np.asarray(image, dtype=np.float32) + noise
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def degrade(sharp: np.ndarray, repair: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink 4x and damage.

    Args:
        sharp: [4h, 4w, 3] uint8, margins included.
        repair: the dial in [0, 1]; at 0 the standard mix (about half of it clean), above 0 always
            damaged, with a strength that grows with the dial.
        rng: source of every random choice.
    Returns:
        [h, w, 3] uint8.
    """
    image = Image.fromarray(sharp)
    kind = rng.random()
    if repair > 0:
        kind = 0.55 + 0.45 * kind
    blur = kind >= 0.94 or (repair > 0 and rng.random() < 0.3)
    if blur:
        most = 2.2 + 2.5 * repair
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, most)))
    kernels, weights = zip(*_KERNELS, strict=True)
    kernel = kernels[rng.choice(len(kernels), p=weights)]
    size = (image.width // UPSCALE, image.height // UPSCALE)
    image = image.resize(size, kernel)
    wants_noise = 0.81 <= kind < 0.94 or (repair > 0 and rng.random() < 0.35)
    wants_jpeg = 0.55 <= kind < 0.81 or 0.90 <= kind < 0.94 or (repair > 0 and rng.random() < 0.35)
    if wants_noise:
        sigma = rng.uniform(1, 10) + rng.uniform(0, 15) * repair
        image = add_noise(image, sigma, rng)
    if wants_jpeg:
        lowest = round(45 - 25 * repair)
        highest = round(96 - 40 * repair)
        quality = int(rng.integers(lowest, highest))
        image = jpeg(image, quality, 2 if rng.random() < 0.8 else 0)
    return np.asarray(image)


def soften(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarge a random corner of a square [n, n, 3] uint8 crop to the size of the whole."""
    side = round(crop.shape[0] / rng.uniform(1.3, 4.5))
    kernel = Image.Resampling.LANCZOS if rng.random() < 0.5 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(crop[:side, :side]).resize(crop.shape[:2], kernel))


def sample_pair(
    photograph: np.ndarray,
    side_px: int,
    repair: float,
    soft_share: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one random training pair, flipped and turned at random.

    Args:
        photograph: [H, W, 3] uint8.
        side_px: side of the small picture.
        repair: the dial, see `degrade`.
        soft_share: how often the sharp picture is itself made soft, in [0, 1].
        rng: source of every random choice.
    Returns:
        small [side_px, side_px, 3] and sharp [4 * side_px, 4 * side_px, 3], both uint8.
    """
    whole = (side_px + MARGIN_PX) * UPSCALE
    best, best_score = photograph[:whole, :whole], -1.0
    for _ in range(2 if rng.random() < 0.6 else 1):  # of two crops the livelier one
        y = int(rng.integers(0, photograph.shape[0] - whole + 1))
        x = int(rng.integers(0, photograph.shape[1] - whole + 1))
        crop = photograph[y : y + whole, x : x + whole]
        luma = crop[::2, ::2, 1].astype(np.int16)
        score = float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())
        if score > best_score:
            best, best_score = crop, score
    if rng.random() < soft_share:
        best = soften(best, rng)
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    sharp = np.rot90(best, turns)
    sharp = np.ascontiguousarray(sharp[:, ::-1] if mirrored else sharp)
    small = degrade(sharp, repair, rng)
    dy, dx = (int(v) for v in rng.integers(0, MARGIN_PX + 1, 2))
    big_dy, big_dx = dy * UPSCALE, dx * UPSCALE
    big = side_px * UPSCALE
    return (
        small[dy : dy + side_px, dx : dx + side_px],
        sharp[big_dy : big_dy + big, big_dx : big_dx + big],
    )
