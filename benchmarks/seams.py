# SPDX-License-Identifier: Apache-2.0
"""Seams: what tiling adds to the gradients at the borders of its tiles.

Every picture is upscaled untiled and in tiles of a given side, through `pid_core.upscale`. The mean
absolute step across the tiles' borders, over the same of the untiled run at the same places, is the
excess: 1.00 = no seam. Flat gradients show what photographs would hide. Run it as
`python benchmarks/seams.py [--engine compact]`; it exits with 1 when the excess is above 1.02.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from pid_core.engines.base import Engine  # noqa: E402
from pid_core.engines.registry import create  # noqa: E402
from pid_core.pixels import PictureFormat, unpack  # noqa: E402
from pid_core.plan import TRAITS, UpscalePlan, UpscaleRequest, plan_upscale  # noqa: E402
from pid_core.upscale import upscale  # noqa: E402

GATE = 1.02
SIZES = ((160, 120), (257, 131), (384, 256))


def pictures(width: int, height: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and [height, width, 3] uint16 of what is upscaled."""
    y, x = np.mgrid[0:height, 0:width]
    plain = (x / width * 0.2 + y / height * 0.1 + 0.4)[..., None] * np.array((1.0, 0.9, 0.8))
    yield "gradient", (plain * 65535).astype(np.uint16)
    yield "dark gradient", (plain * 0.1 * 65535).astype(np.uint16)
    from skimage import data

    for name in ("astronaut", "coffee", "chelsea"):
        whole = getattr(data, name)()
        yield name, whole[40 : 40 + height, 20 : 20 + width].astype(np.uint16) * 257


def run(
    pixels: np.ndarray, engine: Engine, plan: UpscalePlan, request: UpscaleRequest
) -> np.ndarray:
    """[H, W, 3] floats of the answer."""
    height, width = pixels.shape[:2]
    picture = unpack(np.ascontiguousarray(pixels), PictureFormat(width, height, depth="u16"))
    *_, last = upscale(picture, None, request, plan, engine)
    return last.result.picture.samples.astype(float)


def excess(tiled: np.ndarray, whole: np.ndarray, plan: UpscalePlan) -> float:
    """Mean absolute step across the borders of the tiles, over that of the untiled run."""
    one = plan.passes[-1]
    cores = TRAITS[plan.engine].cores(one.width_px, one.height_px, one.tile_px)
    xs = sorted({core.x * one.scale for core in cores} - {0})
    ys = sorted({core.y * one.scale for core in cores} - {0})

    def steps(picture: np.ndarray) -> float:
        found = [np.abs(picture[:, x] - picture[:, x - 1]).ravel() for x in xs]
        found += [np.abs(picture[y] - picture[y - 1]).ravel() for y in ys]
        return float(np.concatenate(found).mean())

    return steps(tiled) / max(steps(whole), 1e-9)


def main() -> None:
    """Print a line for each picture and exit with 1 when one shows seams."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="compact")
    parser.add_argument("--tile", type=int, default=64, help="side of a tile in source pixels")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    engine = create(arguments.engine)
    worst = 0.0
    print(
        "| picture | size | tiles | excess | largest difference (16 bits) |\n|---|---|---|---|---|"
    )
    for width, height in SIZES:
        for name, pixels in pictures(width, height):
            request = UpscaleRequest(engine=arguments.engine)
            plan = plan_upscale(pixels.shape[1], pixels.shape[0], request)
            tiled_plan = replace(
                plan, passes=tuple(replace(one, tile_px=arguments.tile) for one in plan.passes)
            )
            whole = run(pixels, engine, plan, request)
            tiled = run(pixels, engine, tiled_plan, request)
            value = excess(tiled, whole, tiled_plan)
            worst = max(worst, value)
            print(
                f"| {name} | {width} x {height} | {tiled_plan.tiles} | {value:.4f} | "
                f"{np.abs(tiled - whole).max():.0f} |",
                flush=True,
            )
    print(f"\nworst excess {worst:.4f}, gate {GATE}")
    sys.exit(worst > GATE)


if __name__ == "__main__":
    main()
