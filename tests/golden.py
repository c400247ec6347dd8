# SPDX-License-Identifier: Apache-2.0
"""Hold our networks, samplers and tables against golden vectors from the official code.

    python tests/golden.py FILE…

Takes any golden files, also ones that are not in the repository and have other option values.
Prints every file's worst figure against its gate; exits 1 when a gate is missed or a file cannot be
checked. The file format and the reasons for the gates are in the README beside the files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from golden_figures import Figure, Metadata, Tensors, max_abs, relative_rms
from golden_latents import check_latents
from golden_tables import check_tables
from safetensors import safe_open

from pid_core.networks.pid_net import TRAINING_ONLY_PREFIXES, PidNet, PidNetSizes
from pid_core.networks.pixeldit import PixelDit, PixelDitSizes
from pid_core.samplers.dpm_solver import sample_dpm_solver
from pid_core.samplers.guidance import guided
from pid_core.samplers.schedule import flow_timesteps, student_timesteps
from pid_core.samplers.student import sample_student

NETWORK_REL_RMS = 1e-5
NETWORK_MAX_ABS = 2e-4
"""Times the output's RMS."""
BF16_OVER_AUTOCAST = 1.5
"""Our bfloat16 error over what the official autocast's was when the file was made."""
STUDENT_MAX_ABS = 5e-4
DPM_MAX_ABS = 2e-3
DPM_ONE_STEP_MAX_ABS = 1e-2
"""The official formula cancels near t = 1, ours does not."""
SCHEDULE_MAX_ABS = 1e-6


def load(path: Path) -> tuple[Tensors, Metadata]:
    """All tensors of a golden file and its metadata."""
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["golden"])
        return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118


def check(path: Path) -> list[Figure]:
    """Every figure of one file."""
    tensors, metadata = load(path)
    kind = metadata["kind"]
    if kind not in CHECKERS:
        return [Figure(f"no checker for the kind {kind!r}", float("nan"), 0)]
    return list(CHECKERS[kind](tensors, metadata))


def build(tensors: Tensors, metadata: Metadata, dtype: torch.dtype) -> PidNet | PixelDit:
    """The file's network, loaded strictly; a latent's channels in the options tell which one."""
    config = metadata["config"]
    with torch.device("meta"):
        net = (
            PidNet(PidNetSizes.from_official(config))
            if "lq_latent_channels" in config
            else PixelDit(PixelDitSizes.from_official(config))
        )
    prefix = "params."
    state = {
        key.removeprefix(prefix): value.to(dtype)
        for key, value in tensors.items()
        if key.startswith(prefix)
        and not key.removeprefix(prefix).startswith(TRAINING_ONLY_PREFIXES)
    }
    net.load_state_dict(state, assign=True)
    return net


def network_figures(name: str, ours: torch.Tensor, golden: torch.Tensor) -> Iterator[Figure]:
    """Both gates of one network output."""
    if ours.shape != golden.shape:
        yield Figure(f"{name} shape", float("inf"), 0)
        return
    rms = float(golden.double().square().mean().sqrt())
    yield Figure(f"{name} rel RMS", relative_rms(ours, golden), NETWORK_REL_RMS)
    yield Figure(f"{name} max abs / RMS", max_abs(ours, golden) / rms, NETWORK_MAX_ABS)


def check_network(tensors: Tensors, metadata: Metadata) -> Iterator[Figure]:
    """Files of the kinds `pid` and `t2i`."""
    net = build(tensors, metadata, torch.float32)
    net_bf16 = build(tensors, metadata, torch.bfloat16)
    names = ["x", "t", "y"] + ["lq_latent", "degrade_sigma"] * isinstance(net, PidNet)
    for index, case in enumerate(metadata["cases"]):
        inputs = [tensors[f"case{index}.in.{name}"] for name in names]
        golden = tensors[f"case{index}.out"]
        yield from network_figures(f"case{index}", net(*inputs), golden)
        if "autocast_rel_rms" in case:
            gate = BF16_OVER_AUTOCAST * case["autocast_rel_rms"]
            yield Figure(f"case{index} bf16 rel RMS", relative_rms(net_bf16(*inputs), golden), gate)


def check_student(tensors: Tensors, metadata: Metadata) -> Iterator[Figure]:
    """Whole runs with the file's noise, and every recorded network call on its own."""
    net = build(tensors, metadata, torch.float32)
    for index, run in enumerate(metadata["runs"]):
        part = _part(tensors, f"run{index}.")
        height, width = part["noise"].shape[-2:]
        conditioning = net.prepare(*_in(tensors, "y", "lq_latent", "degrade_sigma"), height, width)
        renoise = iter([part[f"eps{i}"] for i in range(len(part)) if f"eps{i}" in part])
        steps = list(
            sample_student(
                net.velocity_field(conditioning),
                part["noise"],
                part["t_list"].tolist(),
                renoise=lambda renoise=renoise: next(renoise),
                kind=run["sample_type"],
                prediction=run["prediction_type"],
            )
        )
        result = steps[-1].state
        yield Figure(f"run{index}", max_abs(result, part["x0_unclamped"]), STUDENT_MAX_ABS)
        yield Figure(
            f"run{index} clamped", max_abs(result.clamp(-1, 1), part["out"]), STUDENT_MAX_ABS
        )
        yield Figure(f"run{index} draws left", float(len(list(renoise))), 0)
        levels = torch.tensor(student_timesteps(run["num_steps"]))
        yield Figure(f"run{index} t_list", max_abs(levels, part["t_list"]), SCHEDULE_MAX_ABS)
        for i in range(len(steps)):
            step = _part(part, f"step{i}.")
            timestep = step["t_in"].expand(step["x"].shape[0])
            ours = net.velocity(step["x"], timestep, conditioning)
            yield from network_figures(f"run{index} step{i}", ours, step["net_out"])


def check_dpm_solver(tensors: Tensors, metadata: Metadata) -> Iterator[Figure]:
    """Whole runs from the file's noise, state by state."""
    net = build(tensors, metadata, torch.float32)
    latent = _in(tensors, "lq_latent", "degrade_sigma") if isinstance(net, PidNet) else []
    height, width = tensors["in.noise"].shape[-2:]
    prompted = net.prepare(tensors["in.y"], *latent, height, width)
    negative = net.with_caption(prompted, tensors["in.y_null"])
    for index, run in enumerate(metadata["runs"]):
        part = _part(tensors, f"run{index}.")
        timesteps = flow_timesteps(run["steps"], run["shift"])
        yield Figure(
            f"run{index} timesteps",
            max_abs(torch.tensor(timesteps), part["timesteps"]),
            SCHEDULE_MAX_ABS,
        )
        field = guided(net.velocity_field(prompted), net.velocity_field(negative), run["cfg_scale"])
        prediction = "x0" if run["model_type"] == "x_start" else "velocity"
        gate = DPM_ONE_STEP_MAX_ABS if run["steps"] == 1 else DPM_MAX_ABS
        steps = list(
            sample_dpm_solver(field, tensors["in.noise"], timesteps, prediction=prediction)
        )
        for step in steps:
            golden = part[f"x{step.index}"]
            yield Figure(f"run{index} x{step.index}", max_abs(step.state, golden), gate)
        result = steps[-1].state
        yield Figure(f"run{index}", max_abs(result, part["out_unclamped"]), gate)
        yield Figure(f"run{index} clamped", max_abs(result.clamp(-1, 1), part["out"]), gate)


CHECKERS: dict[str, Callable[[Tensors, Metadata], Iterator[Figure]]] = {
    "pid": check_network,
    "t2i": check_network,
    "student_sampler": check_student,
    "dpmsolver_pp_2m_flow": check_dpm_solver,
    "tables": check_tables,
    "latents": check_latents,
}
"""Which function checks which kind of file."""


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}


def _in(tensors: Tensors, *names: str) -> list[torch.Tensor]:
    return [tensors[f"in.{name}"] for name in names]


def main(arguments: list[str]) -> int:
    """Check the files and print one line for each."""
    if not arguments:
        print(__doc__)
        return 2
    has_missed = False
    for path in map(Path, arguments):
        figures = check(path)
        worst = max(figures, key=lambda figure: figure.strain)
        missed = [figure for figure in figures if not figure.is_met]
        has_missed |= bool(missed)
        verdict = f"MISSED {len(missed)} of" if missed else "met all"
        print(
            f"{path.name}: {verdict} {len(figures)} gates; worst: "
            f"{worst.name} {worst.value:.2e} (gate {worst.gate:.2e})"
        )
    return int(has_missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
