# SPDX-License-Identifier: Apache-2.0
"""Batches of training pairs, made ahead in a thread of their own."""

import queue
import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.degrade import MARGIN_PX, UPSCALE, sample_pair

REPAIR_SHARE = 0.25
"""Part of the samples that the dial damages; the others see the standard mix at repair 0."""
HELD_OUT = (
    "squirrel",
    "cheetah",
    "chateaudeChambord",
    "hawaMahal",
    "japan",
    "life_by",
    "Red-Maple",
)
"""Photographs, by a part of their file name, that the validation table is made from."""
LARGEST_SIDE_PX = 64
"""Side of the largest small crop that is ever cut."""


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn uint8 [B, H, W, 3] into float32 [B, 3, H, W] in [-1, 1], channels last in memory."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def load_photographs(data: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read the gathered photographs.

    Args:
        data: the folder that `training.photographs` wrote into.
    Returns:
        uint8 [H, W, 3] arrays to learn from, and those held out.
    """
    learn, held = [], []
    smallest_px = (LARGEST_SIDE_PX + MARGIN_PX) * UPSCALE
    for path in sorted((data / "photographs").glob("*.npy")):
        pixels = np.load(path)
        if any(name in path.name for name in HELD_OUT):
            held.append(pixels)
        elif min(pixels.shape[:2]) >= smallest_px:
            learn.append(pixels)
    return learn, held


class Feeder(threading.Thread):
    """Keeps a few batches ready.

    Args:
        photographs: uint8 [H, W, 3] arrays; larger ones are drawn more often, by their side.
        seed: seed of every random draw.
    """

    def __init__(self, photographs: list[np.ndarray], seed: int) -> None:
        super().__init__(daemon=True)
        self.photographs = photographs
        self.rng = np.random.default_rng(seed)
        self.side_px = 32
        """Side of the small crops; may be changed while the thread runs."""
        self.batch = 16
        """Crops in a batch; may be changed while the thread runs."""
        self.soft_share = 0.1
        """Part of the samples whose truth is itself an enlargement, as many pictures on the web
        are: the network must learn not to sharpen them. May be changed while the thread runs."""
        self.ready: queue.Queue[tuple[Tensor, Tensor, Tensor]] = queue.Queue(maxsize=4)
        """Batches: small [B, 3, h, w], sharp [B, 3, 4h, 4w], repair [B]."""
        sides = np.sqrt([p.shape[0] * p.shape[1] for p in photographs])
        self._weights = sides / sides.sum()

    def run(self) -> None:
        """Fill the queue for ever."""
        while True:
            self.ready.put(self._make(self.side_px, self.batch))

    def _make(self, side_px: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        pairs, repairs = [], np.zeros(batch, dtype=np.float32)
        for row in range(batch):
            photograph = self.photographs[self.rng.choice(len(self._weights), p=self._weights)]
            if self.rng.random() < REPAIR_SHARE:
                repairs[row] = self.rng.uniform(0.02, 1)
            repair = float(repairs[row])
            pairs.append(sample_pair(photograph, side_px, repair, self.soft_share, self.rng))
        small, sharp = (np.stack(side) for side in zip(*pairs, strict=True))
        return to_tensor(small), to_tensor(sharp), torch.from_numpy(repairs)
