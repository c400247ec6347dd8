# SPDX-License-Identifier: Apache-2.0
"""Train the built-in engine's network on a CPU, by the clock.

The schedule follows elapsed training time, so a busy machine trains less but still ends with the
learning rate run down. Checkpoints are atomic; `--resume` goes on from the last one.
"""

import argparse
import copy
import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pid_core.networks.compact import CompactNet
from training.feed import Feeder, load_photographs
from training.optimiser import Muon
from training.photographs import default_data_folder
from training.validate import LUMA, gains_over_lanczos

log = logging.getLogger("train_compact")

PHASES = ((0.35, 32, 16), (0.8, 48, 12), (1.0, 64, 8))
"""Until this part of the time: side of the small crops in pixels, crops in a batch."""
CHECKPOINT_S = 180
VALIDATE_S = 480
FINISH_LR = 4e-4
FINISH_SOFT_SHARE = 0.2


def loss_of(output: Tensor, sharp: Tensor) -> Tensor:
    """Charbonnier distance of [B, 3, H, W] pictures in [-1, 1], half over RGB, half over luma."""
    error = output - sharp
    luma = LUMA[0] * error[:, 0] + LUMA[1] * error[:, 1] + LUMA[2] * error[:, 2]
    return 0.5 * (error.square() + 1e-6).sqrt().mean() + 0.5 * (luma.square() + 1e-6).sqrt().mean()


def learning_rate(progress: float, peak: float) -> float:
    """Warm-up over the first hundredth of the time, then a cosine down to a hundredth of `peak`."""
    if progress < 0.01:
        return peak * (0.05 + 0.95 * progress / 0.01)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


class Trainer:
    """Network, averaged copy, optimisers and the clock of one training run.

    Args:
        channels: width of the trunk.
        num_blocks: residual blocks of the trunk.
        seed: seed of the first weights.
    """

    def __init__(self, channels: int, num_blocks: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.net = CompactNet(channels, num_blocks)
        with torch.no_grad():
            for layer in (*(block.conv2 for block in self.net.trunk), self.net.tail):
                layer.weight.mul_(0.1)
        self.net.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.net)
        square = [self.net.fuse.weight]
        for block in self.net.trunk:
            square += [block.conv1.weight, block.conv2.weight]
        taken = {id(weight) for weight in square}
        rest = [p for p in self.net.parameters() if id(p) not in taken]
        self.optimisers = (Muon(square), torch.optim.Adam(rest, betas=(0.9, 0.99)))
        self.average_over = 1000
        """Steps over which the weights that are kept are averaged."""
        self.step = 0
        self.elapsed_s = 0.0
        self.loss = 0.0

    def train_on(self, small: Tensor, sharp: Tensor, repair: Tensor, rate: float) -> None:
        """Take one step.

        Args:
            small: [B, 3, h, w] in [-1, 1].
            sharp: [B, 3, 4h, 4w] in [-1, 1].
            repair: [B] in [0, 1].
            rate: learning rate of both optimisers.
        """
        with torch.autocast("cpu", torch.bfloat16):
            output = self.net(small, repair)
        loss = loss_of(output, sharp)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        self.step += 1
        self.loss += (loss.item() - self.loss) * max(0.005, 1 / self.step)
        keep = min(1 - 1 / self.average_over, self.step / (self.step + 9))
        with torch.no_grad():
            pairs = zip(self.averaged.parameters(), self.net.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - keep)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs."""
        return {
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "clock": (self.step, self.elapsed_s, self.loss),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state` returned."""
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.elapsed_s, self.loss = state["clock"]


def write_weights(net: CompactNet, path: Path, summary: dict[str, str]) -> None:
    """Store the network atomically as the float16 safetensors file that the engine reads."""
    tensors = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    metadata = {
        "architecture": "compact",
        "version": "1",
        "channels": str(net.head.out_channels),
        "blocks": str(len(net.trunk)),
        "licence": "Apache-2.0",
        **summary,
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, path)


def save(trainer: Trainer, folder: Path) -> None:
    """Write the checkpoint and the usable weights."""
    partial = folder / "checkpoint.partial"
    torch.save(trainer.state(), partial)
    os.replace(partial, folder / "checkpoint.pt")
    training = f"{trainer.step} steps, {trainer.elapsed_s / 60:.0f} minutes, CPU"
    write_weights(trainer.averaged, folder / "compact.safetensors", {"training": training})


def train(trainer: Trainer, feeder: Feeder, arguments: argparse.Namespace) -> None:
    """Train until the planned minutes are over; `feeder` follows the phases."""
    _, held = load_photographs(arguments.data)
    saved_s = validated_s = trainer.elapsed_s
    while trainer.elapsed_s < arguments.minutes * 60:
        began = time.monotonic()
        progress = trainer.elapsed_s / 60 / arguments.minutes
        feeder.side_px, feeder.batch = next(row[1:] for row in PHASES if progress < row[0])
        trainer.train_on(*feeder.ready.get(), learning_rate(progress, arguments.lr))
        trainer.elapsed_s += time.monotonic() - began
        if trainer.step % 200 == 0:
            log.info("step %d, %.0f s, %.5f", trainer.step, trainer.elapsed_s, trainer.loss)
        if trainer.elapsed_s - saved_s > CHECKPOINT_S:
            saved_s = trainer.elapsed_s
            save(trainer, arguments.out)
        if trainer.elapsed_s - validated_s > VALIDATE_S:
            validated_s = trainer.elapsed_s
            log.info(
                "gain over Lanczos: %s", json.dumps(gains_over_lanczos(trainer.averaged, held))
            )
    save(trainer, arguments.out)
    log.info("gain over Lanczos: %s", json.dumps(gains_over_lanczos(trainer.averaged, held)))


def finish(trainer: Trainer, feeder: Feeder, arguments: argparse.Namespace) -> None:
    """Go on from the averaged weights, with more soft pictures and a rate that falls to nothing."""
    trainer.net.load_state_dict(trainer.averaged.state_dict())
    trainer.average_over, feeder.soft_share = 50, FINISH_SOFT_SHARE
    feeder.side_px, feeder.batch = PHASES[1][1:]
    began, before_s = time.monotonic(), trainer.elapsed_s
    while (progress := (time.monotonic() - began) / 60 / arguments.finish_minutes) < 1:
        trainer.train_on(*feeder.ready.get(), FINISH_LR * (1 - progress))
        trainer.elapsed_s = before_s + time.monotonic() - began
    save(trainer, arguments.out)


def main() -> None:
    """Train for the minutes asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=default_data_folder())
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--minutes", type=float, default=90, help="length of the whole run")
    parser.add_argument("--finish-minutes", type=float, default=9, help="length of what follows")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    trainer = Trainer(arguments.channels, arguments.blocks, arguments.seed)
    if arguments.resume:
        trainer.restore(torch.load(arguments.out / "checkpoint.pt", weights_only=True))
    learn, held = load_photographs(arguments.data)
    log.info("%d pictures to learn from, %d held out", len(learn), len(held))
    feeder = Feeder(learn, seed=arguments.seed + trainer.step)
    feeder.start()
    train(trainer, feeder, arguments)
    finish(trainer, feeder, arguments)


if __name__ == "__main__":
    main()
