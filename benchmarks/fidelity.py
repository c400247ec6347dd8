# SPDX-License-Identifier: Apache-2.0
"""How faithful an upscale is: the colour lock on and off, and the routes to every size.

Works on the photographs that are reserved for judging (see `quality.py`), through the whole of
`pid_core.upscale` as the daemon runs it. Run it as `python benchmarks/fidelity.py`; `--sizes` adds
the routes between 1x and 8x, `--alpha` the edges of transparent pictures.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from benchmarks.quality import ROWS, gcompris_folder, jpeg, noisy, reserved_photographs  # noqa: E402
from pid_core.engines.base import Engine  # noqa: E402
from pid_core.engines.registry import create  # noqa: E402
from pid_core.pixels import PictureFormat, unpack  # noqa: E402
from pid_core.plan import UpscaleRequest, plan_upscale  # noqa: E402
from pid_core.upscale import UpscaleResult, upscale  # noqa: E402

LUMA = np.array((0.299, 0.587, 0.114))
SHAVE_PX = 4


def answer(pixels: np.ndarray, engine: Engine, route: str = "", **dials) -> UpscaleResult:
    """Upscale [H, W, 3] uint8."""
    height, width = pixels.shape[:2]
    request = UpscaleRequest(engine=engine.info.name, **dials)
    plan = plan_upscale(width, height, request, route=route)
    picture = unpack(np.ascontiguousarray(pixels), PictureFormat(width, height))
    *_, last = upscale(picture, None, request, plan, engine)
    return last.result


def psnr_y(first: np.ndarray, second: np.ndarray, shave_px: int = SHAVE_PX) -> float:
    """PSNR of luma in dB, without the outermost pixels."""
    inner = (slice(shave_px, -shave_px), slice(shave_px, -shave_px))
    difference = ((first.astype(float) - second.astype(float)) @ LUMA)[inner]
    return float(10 * np.log10(255**2 / max(np.mean(difference**2), 1e-9)))


def averaged(pixels: np.ndarray, factor: int) -> np.ndarray:
    """[H, W, 3] averaged over squares, in linear light, back in sRGB 0..255."""
    encoded = pixels.astype(float) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    height, width = light.shape[0] // factor, light.shape[1] // factor
    light = light.reshape(height, factor, width, factor, 3).mean((1, 3))
    back = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return back * 255


def lock_table(photographs: dict[str, Image.Image], engine: Engine) -> Iterator[str]:
    """Lines of the table lock off / on: colour difference, consistency, quality."""
    yield "| source | lock | dE median | dE p99 | worst p99 | LR-PSNR | PSNR-Y | over Lanczos | s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row, damage in ROWS.items():
        for repair, lock in ((0.0, False), (0.0, True), (0.5, False), (0.5, True)):
            if repair and row not in ("noise sigma 5", "JPEG 60"):
                continue
            medians, tails, consistencies, qualities, gains = [], [], [], [], []
            began = time.process_time()
            for sharp in photographs.values():
                small = damage(sharp)
                source = np.asarray(small)
                done = answer(source, engine, colour_lock=lock, repair=repair)
                made = done.picture.samples
                medians.append(done.record["delta_e"]["median"])
                tails.append(done.record["delta_e"]["p99"])
                consistencies.append(psnr_y(averaged(made, 4), source, 1))
                lanczos = small.resize(sharp.size, Image.Resampling.LANCZOS)
                quality = psnr_y(made, np.asarray(sharp))
                qualities.append(quality)
                gains.append(quality - psnr_y(np.asarray(lanczos), np.asarray(sharp)))
            name = f"{row}, repair {repair}" if repair else row
            yield (
                f"| {name} | {'on' if lock else 'off'} | {statistics.mean(medians):.3f} | "
                f"{statistics.mean(tails):.3f} | {max(tails):.3f} | "
                f"{statistics.mean(consistencies):.2f} | {statistics.mean(qualities):.3f} | "
                f"{statistics.mean(gains):+.3f} (worst {min(gains):+.2f}) | "
                f"{time.process_time() - began:.0f} |"
            )


SIZES: dict[float, tuple[str, ...]] = {
    1.5: ("shrink", "area"),
    2.0: ("shrink", "area"),
    3.0: ("shrink", "area"),
    6.0: ("resample", "twice"),
    8.0: ("resample", "twice"),
}
"""Factor -> routes that can make it."""
DAMAGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "clean": lambda image: image,
    "noise sigma 5": lambda image: noisy(image, 5),
    "JPEG 60": lambda image: jpeg(image, 60),
}


def size_table(photographs: dict[str, Image.Image], engine: Engine) -> Iterator[str]:
    """Lines of the table of routes."""
    yield "| factor | source | Lanczos | " + "route: PSNR-Y over Lanczos (CPU s) | |"
    yield "|---|---|---|---|---|"
    for factor, routes in SIZES.items():
        for name, damage in DAMAGES.items():
            base, gains, seconds = [], {one: [] for one in routes}, dict.fromkeys(routes, 0.0)
            for sharp in photographs.values():
                size = round(sharp.width / factor)
                small = damage(sharp.resize((size, size), Image.Resampling.BICUBIC))
                truth = np.asarray(sharp)
                lanczos = np.asarray(small.resize(sharp.size, Image.Resampling.LANCZOS))
                base.append(psnr_y(lanczos, truth))
                for route in routes:
                    began = time.process_time()
                    made = answer(
                        np.asarray(small), engine, route, width=sharp.width, height=sharp.height
                    ).picture.samples
                    seconds[route] += time.process_time() - began
                    gains[route].append(psnr_y(made, truth) - base[-1])
            cells = " | ".join(
                f"{one} {statistics.mean(gains[one]):+.3f} ({seconds[one]:.0f} s)" for one in routes
            )
            yield f"| {factor:g}x | {name} | {statistics.mean(base):.2f} | {cells} |"


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gcompris", type=Path, help="an extracted gcompris-qt-data package")
    parser.add_argument("--engine", default="compact")
    parser.add_argument("--sizes", action="store_true", help="the routes to 1.5x, 2x, 3x, 6x, 8x")
    parser.add_argument("--only-sizes", action="store_true")
    parser.add_argument("--photographs", type=int, default=0, help="how many; 0 = all")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cache = Path.home() / ".cache" / "pid-layers" / "benchmarks"
    photographs = reserved_photographs(arguments.gcompris or gcompris_folder(cache))
    if arguments.photographs:
        step = max(1, len(photographs) // arguments.photographs)
        photographs = dict(list(photographs.items())[::step][: arguments.photographs])
    engine = create(arguments.engine)
    print(f"{len(photographs)} photographs, {engine.info.name} {engine.info.weights}\n")
    if not arguments.only_sizes:
        for line in lock_table(photographs, engine):
            print(line, flush=True)
    if arguments.sizes or arguments.only_sizes:
        print()
        for line in size_table(photographs, engine):
            print(line, flush=True)


if __name__ == "__main__":
    main()
