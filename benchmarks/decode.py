# SPDX-License-Identifier: Apache-2.0
"""Our PidNet beside the official one: the same weights, inputs and CPU, in alternating runs.

    python benchmarks/decode.py --reference CLONE [--workload NAME…] [--variant NAME…] [--rounds N]

CLONE is a checked-out clone of nv-tlabs/PiD. Every run is a process of its own that loads the same
random full-size weights (v1.5, FLUX latents), so that its peak memory is its own. Time is CPU
seconds of all threads, the least of the rounds; gradients are off for both. The official network
runs as released: float32 weights, and for bfloat16 an autocast around every call. Beside the times
stands the bound that this CPU's own matrix products set. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time

import torch
from full_size import V15_FLUX, decode_operations, inputs, load_net, random_weights
from official import official_net
from safetensors.torch import load_file, save_file

from pid_core.networks.packed import PackedLinear, pack_for_cpu
from pid_core.networks.pid_net import PidNetSizes
from pid_core.samplers.noise import pixel_stream
from pid_core.samplers.schedule import student_timesteps
from pid_core.samplers.step import Velocity
from pid_core.samplers.student import sample_student

WORKLOADS = {"512-decode": (512, 4), "1024-call": (1024, 0), "2048-call": (2048, 0)}
"""Output side in pixels, and steps; 0 = a single call of the network."""
QUICK = ("512-decode", "1024-call")
"""What is run unless something is named; 2048 px are the least that people decode, and take ten
minutes a call."""
TRUTH = "official-float32"
VARIANTS = (TRUTH, "official-autocast", "ours-float32", "ours-bfloat16")


@dataclass(frozen=True)
class Run:
    """What one process measured."""

    cpu_s: float
    """CPU seconds of the decode, all threads."""
    peak_gb: float
    """Most memory (10^9 bytes) that the process held while it decoded."""
    above_gb: float
    """How far that is above what it held when the weights were loaded."""
    error: float = 0.0
    """RMS of the difference to the official float32 result, over that result's RMS."""


@dataclass(frozen=True)
class Gate:
    """What a figure of ours may be at most, as a multiple of the official one."""

    workload: str
    ours: str
    official: str
    figure: str
    """A field of Run."""
    ratio: float


GATES = (
    Gate("512-decode", "ours-bfloat16", "official-autocast", "cpu_s", 0.6),
    Gate("512-decode", "ours-bfloat16", "official-autocast", "peak_gb", 0.6),
    Gate("512-decode", "ours-bfloat16", "official-autocast", "error", 1.0),
    Gate("512-decode", "ours-float32", TRUTH, "cpu_s", 0.92),
    Gate("1024-call", "ours-bfloat16", "official-autocast", "above_gb", 0.35),
    Gate("1024-call", "ours-bfloat16", "official-autocast", "error", 1.0),
    Gate("2048-call", "ours-bfloat16", "official-autocast", "cpu_s", 0.6),
    Gate("2048-call", "ours-bfloat16", "official-autocast", "above_gb", 0.35),
)


def child(variant: str, workload: str, weights: Path, result: Path, reference: Path) -> Run:
    """Load one network, decode once, save the image, and say what it took."""
    side_px, steps = WORKLOADS[workload]
    noise = pixel_stream(1)
    start = noise.draw((1, 3, side_px, side_px))
    make_field = _field_maker(variant, side_px, load_file(weights), reference)
    loaded_gb = _memory_gb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here, not from loading
    started = process_time()
    with torch.no_grad():
        field = make_field()
        if steps:
            timesteps = student_timesteps(steps)
            *_, last = sample_student(
                field, start, timesteps, renoise=lambda: noise.draw(start.shape)
            )
            image = last.state
        else:
            image = field(start, 0.866)
    cpu_s, peak_gb = process_time() - started, _memory_gb("VmHWM")
    save_file({"image": image.contiguous()}, result)
    return Run(cpu_s, peak_gb, peak_gb - loaded_gb)


def _field_maker(
    variant: str, side_px: int, tensors: dict[str, torch.Tensor], reference: Path
) -> Callable[[], Velocity]:
    """A loaded network, as a function that prepares for the image and gives its velocity field."""
    caption, latent, sigma = inputs(side_px)
    whose, _, mode = variant.partition("-")
    if whose == "ours":
        net = load_net(PidNetSizes.from_official(V15_FLUX), tensors, getattr(torch, mode))
        pack_for_cpu(net)
        return lambda: net.velocity_field(net.prepare(caption, latent, sigma, side_px, side_px))
    official = official_net(reference, V15_FLUX, tensors)

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        timestep = torch.full((1,), 1000 * t)
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"):
            return official(x, timestep, caption, lq_latent=latent, degrade_sigma=sigma).float()

    return lambda: velocity


def _memory_gb(field: str) -> float:
    """This process's memory as the kernel counts it: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e9


def spawn(variant: str, workload: str, folder: Path, options: argparse.Namespace) -> Run:
    """Measure one run in a fresh process."""
    command = [sys.executable, __file__, "--reference", str(options.reference)]
    command += ["--threads", str(options.threads), "--child", str(folder)]
    command += ["--variant", variant, "--workload", workload]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Run(**json.loads(output.splitlines()[-1]))


def measure(workload: str, folder: Path, options: argparse.Namespace) -> dict[str, Run]:
    """Every variant's best run, and its error."""
    runs: dict[str, list[Run]] = {variant: [] for variant in options.variant}
    for _ in range(options.rounds):
        for variant, done in runs.items():
            done.append(spawn(variant, workload, folder, options))
    best = {}
    for variant, done in runs.items():
        error = float("nan")
        if TRUTH in runs:
            images = (load_file(folder / f"{workload}.{name}") for name in (variant, TRUTH))
            ours, truth = (image["image"] for image in images)
            error = float((ours - truth).norm() / truth.norm())
        best[variant] = Run(
            min(run.cpu_s for run in done),
            min(run.peak_gb for run in done),
            min(run.above_gb for run in done),
            error,
        )
    return best


def product_rate(dtype: torch.dtype) -> float:
    """Operations per CPU second of the network's typical product: what no decode can surpass."""
    rows, columns, outputs = 256, 1536, 4608
    layer = PackedLinear(torch.randn(outputs, columns).to(dtype), None)
    x, best_s = torch.randn(rows, columns).to(dtype), float("inf")
    for _ in range(10):
        started = process_time()
        layer(x)
        best_s = min(best_s, process_time() - started)
    return 2 * rows * columns * outputs / best_s


def report(workload: str, runs: dict[str, Run]) -> bool:
    """Print a table and the gates that it decides; True when all of those are met."""
    side_px, steps = WORKLOADS[workload]
    for mode in ("float32", "bfloat16"):
        rate = product_rate(getattr(torch, mode))
        bound_s = decode_operations(side_px, steps or 1) / rate
        print(f"{mode}: a wide product runs at {rate / 1e9:.0f} GFLOP/s; bound {bound_s:.1f} s")
    print(f"{workload:20} {'CPU s':>8} {'peak GB':>8} {'above GB':>9} {'error':>9}")
    for variant, run in runs.items():
        row = f"{run.cpu_s:8.2f} {run.peak_gb:8.2f} {run.above_gb:9.3f} {run.error:9.2e}"
        print(f"{variant:20} {row}")
    met = True
    for gate in GATES:
        needed = {gate.ours, gate.official} | ({TRUTH} if gate.figure == "error" else set())
        if gate.workload == workload and needed <= runs.keys():
            ratio = getattr(runs[gate.ours], gate.figure) / getattr(
                runs[gate.official], gate.figure
            )
            is_met = ratio <= gate.ratio
            met &= is_met
            verdict = "met" if is_met else "MISSED"
            print(
                f"{gate.ours} {gate.figure}: {ratio:.3f} of official (<= {gate.ratio}): {verdict}"
            )
    return met


def main() -> int:
    """Measure what was asked for; 1 when a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, help="clone of nv-tlabs/PiD")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(QUICK))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        (variant,), (workload,), folder = options.variant, options.workload, options.child
        result = folder / f"{workload}.{variant}"
        run = child(variant, workload, folder / "weights", result, options.reference)
        print(json.dumps(asdict(run)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(random_weights(PidNetSizes.from_official(V15_FLUX)), folder / "weights")
        verdicts = [
            report(workload, measure(workload, folder, options)) for workload in options.workload
        ]
    return int(not all(verdicts))


if __name__ == "__main__":
    sys.exit(main())
