# SPDX-License-Identifier: Apache-2.0
"""Checks of the golden file of kind `tables`: schedules, rotations, time and pixel codes, norms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch
from golden_figures import Figure, Metadata, Tensors, max_abs, relative_rms

from pid_core.errors import InvalidOptions
from pid_core.networks.embeddings import PixelPositions, timestep_features
from pid_core.networks.layers import RmsNorm
from pid_core.networks.rope import image_table, rotate, text_table
from pid_core.pixels.format import PictureFormat
from pid_core.pixels.picture import Picture, blank
from pid_core.samplers.schedule import dynamic_shift, flow_timesteps, student_timesteps
from pid_core.text.tokens import kept_positions

TABLE_REL = 1e-6
ANGLE_MAX_ABS = 3e-5
"""Sines and cosines: the official tables are built in float32, ours in float64."""
TIME_MAX_ABS = 1.3e-4
"""Time features: processors differ in the last place of exp(), which t = 1000 turns into 6e-5
radians; the product's own rounding adds half of that."""
BF16_ROUNDING = 2**-9
"""The official norm rounds to the input's dtype before it scales; ours does not."""


def check_tables(tensors: Tensors, metadata: Metadata) -> Iterator[Figure]:
    """Small functions on their own. A table that nobody claims is a missed gate."""
    groups: dict[str, Tensors] = {}
    for key, value in tensors.items():
        group, _, name = key.rpartition(".")
        if key.startswith(("student_t_list", "flow_timesteps", "prompt_slots")):
            group, name = key, "value"
        groups.setdefault(group, {})[name] = value
    for group, values in sorted(groups.items()):
        claimed = [table for pattern, table in TABLES if re.match(pattern, group)]
        if not claimed:
            yield Figure(f"no checker for the table {group!r}", float("nan"), 0)
        for table in claimed:
            yield from table(group, values)


def _student_table(group: str, values: Tensors) -> Iterator[Figure]:
    if group.endswith("uniform4"):  # what an unconfigured network would do; none is released
        return
    num_steps = int(re.search(r"\.n(\d+)$", group)[1])
    try:
        levels = student_timesteps(num_steps)
    except InvalidOptions:  # more steps than were trained: the official list repeats levels
        repeats = len(values["value"].unique()) < len(values["value"])
        yield Figure(f"{group} is rejected for its repeats", float(not repeats), 0)
        return
    if num_steps > 1:  # the official sampler replaces a one-step list by t = 1
        yield Figure(group, max_abs(torch.tensor(levels), values["value"]), TABLE_REL)


def _flow_table(group: str, values: Tensors) -> Iterator[Figure]:
    steps, shift = re.search(r"\.n(\d+)\.shift([\d.]+)$", group).groups()
    ours = torch.tensor(flow_timesteps(int(steps), float(shift)))
    yield Figure(group, max_abs(ours, values["value"]), TABLE_REL)


def _shift_table(group: str, values: Tensors) -> Iterator[Figure]:
    rows = values["rows"].tolist()
    ours = [dynamic_shift(int(h), int(w), base, int(size)) for h, w, base, size, *_ in rows]
    yield Figure(group, max_abs(torch.tensor(ours), values["rows"][:, 4]), TABLE_REL * 10)


def _time_table(group: str, values: Tensors) -> Iterator[Figure]:
    yield Figure(group, max_abs(timestep_features(values["t"]), values["out"]), TIME_MAX_ABS)


def _image_rope_table(group: str, values: Tensors) -> Iterator[Figure]:
    head, rows, columns = map(int, re.search(r"\.hd(\d+)\.g(\d+)x(\d+)", group).groups())
    reference = re.search(r"\.ref(\d+)", group)
    both = (float(reference[1]), float(reference[1])) if reference else None
    yield from _rotations(group, image_table(rows, columns, head, both)[values["idx"]], values)


def _text_rope_table(group: str, values: Tensors) -> Iterator[Figure]:
    head, length = map(int, re.search(r"\.hd(\d+)\.L(\d+)", group).groups())
    yield from _rotations(group, text_table(length, head, 10000.0), values)


def _rotations(group: str, table: torch.Tensor, values: Tensors) -> Iterator[Figure]:
    yield Figure(f"{group} cos", max_abs(table.real, values["cos"]), ANGLE_MAX_ABS)
    yield Figure(f"{group} sin", max_abs(table.imag, values["sin"]), ANGLE_MAX_ABS)


def _rope_apply_table(group: str, values: Tensors) -> Iterator[Figure]:
    table = torch.complex(values["cos"], values["sin"])
    for name in "qk":
        ours = rotate(values[name], table)
        yield Figure(f"{group} {name}", max_abs(ours, values[f"{name}_out"]), TABLE_REL)


def _pixel_table(group: str, values: Tensors) -> Iterator[Figure]:
    size = int(re.search(r"\.d(\d+)$", group)[1])
    rows, columns = values["ij"].unbind(1)
    table = PixelPositions.build(2048, 2048, 16, size, torch.device("cpu"))
    ours = torch.cat((table.columns.flatten(0, 1)[columns], table.rows.flatten(0, 1)[rows]), dim=-1)
    yield Figure(group, max_abs(ours, values["out"]), TABLE_REL)


def _norm_table(group: str, values: Tensors) -> Iterator[Figure]:
    norm = RmsNorm(values["w"].numel())
    norm.load_state_dict({"weight": values["w"]})
    with torch.no_grad():
        yield Figure(group, relative_rms(norm(values["x"]), values["out"]), TABLE_REL)
        ours = norm(values["x"].bfloat16())
    yield Figure(f"{group} bf16 in", relative_rms(ours, values["out_bf16_in"]), BF16_ROUNDING)


def _slots_table(group: str, values: Tensors) -> Iterator[Figure]:
    num_prefix, rows = map(int, re.search(r"\.chi(\d+)\.M(\d+)$", group).groups())
    ours = torch.tensor(kept_positions(num_prefix, rows))
    yield Figure(group, max_abs(ours, values["value"]), 0)


def _image_table(group: str, values: Tensors) -> Iterator[Figure]:
    """Samples to [-1, 1] and back. The official code crops to whole patches and truncates."""
    height, width, _ = values["load_in_hwc"].shape
    samples = values["load_in_hwc"].numpy()
    picture = Picture(PictureFormat(width, height), samples)
    top, left = height % 16 // 2, width % 16 // 2
    part = picture.cropped(left, top, width - width % 16, height - height % 16)
    loaded = part.colours().unsqueeze(0) * 2 - 1
    yield Figure(f"{group} load", max_abs(loaded, values["load_out"]), TABLE_REL)
    _, height, width = values["in"].shape
    saved = blank(PictureFormat(width, height))
    # ours rounds, which on just under half a level less is truncation
    saved.write(0, ((values["in"].clamp(-1, 1) + 1) * 127.5 - 0.4999) / 255, None)
    ours = torch.from_numpy(saved.samples)
    yield Figure(f"{group} save", max_abs(ours, values["uint8_hwc"]), 0)


TABLES: list[tuple[str, Callable[[str, Tensors], Iterator[Figure]]]] = [
    (r"student_t_list\.", _student_table),
    (r"flow_timesteps\.", _flow_table),
    (r"dynamic_shift$", _shift_table),
    (r"timestep_embedding$", _time_table),
    (r"rope2d_(ntk|plain)\.", _image_rope_table),
    (r"rope_text\.", _text_rope_table),
    (r"rope_apply$", _rope_apply_table),
    (r"pixel_pos\.", _pixel_table),
    (r"rmsnorm$", _norm_table),
    (r"image$", _image_table),
    (r"prompt_slots\.", _slots_table),
]
"""Which function checks which tables: pattern of the group's name -> figures."""
