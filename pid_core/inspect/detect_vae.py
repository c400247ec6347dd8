# SPDX-License-Identifier: Apache-2.0
"""Is a file a VAE, in which layout, and of which latent family? Torch-free."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import BACKBONES, Affine
from pid_core.inspect.description import VAE, Declared, Description
from pid_core.inspect.families import decide_family
from pid_core.inspect.headers import FileHeader
from pid_core.inspect.names import NameHints

LDM, DIFFUSERS, WAN, WAN_2D, WAN_DIFFUSERS = "LDM", "diffusers", "Wan", "Wan 2-D", "Wan diffusers"

_SD1_SCALE = 0.18215
# layout -> (first convolution, convolution that ends in 2 x latent channels)
_MARKS = {
    LDM: ("encoder.down.0.block.0.norm1.weight", "encoder.conv_out.weight"),
    DIFFUSERS: ("encoder.down_blocks.0.resnets.0.norm1.weight", "encoder.conv_out.weight"),
    WAN: ("encoder.downsamples.0.residual.0.gamma", "encoder.head.2.weight"),
    WAN_DIFFUSERS: ("encoder.mid_block.resnets.0.norm1.gamma", "encoder.conv_out.weight"),
}


def describe_vae(header: FileHeader, hints: NameHints, declared: Declared) -> Description | None:
    """What VAE a file is, or None when it is none."""
    layout = next((name for name, (mark, _) in _MARKS.items() if mark in header.tensors), None)
    if layout is None or _MARKS[layout][1] not in header.tensors:
        return None
    last = header.tensors[_MARKS[layout][1]].shape
    if layout == WAN and len(last) == 4:  # NVIDIA's strip for single pictures
        layout = WAN_2D
    found = Description(VAE, layout)
    try:
        allowed = _allowed(header, layout, last[0] // 2)
        named = hints
        if hints.family_from != "file name" and header.path.stem.lower() == "ae":
            named = replace(hints, family="flux", family_from="file name")  # FLUX.1's own name
        family, source = _from_config(header.path, allowed) or decide_family(
            allowed, named, declared
        )
        _refuse_a_guess(family, source, named, declared)
        return replace(
            found,
            families=allowed,
            family=family,
            family_from=source,
            licence=BACKBONES[family].licence,
        )
    except CheckpointMismatch as error:
        return replace(found, problem=str(error), hint=error.hint)


def _allowed(header: FileHeader, layout: str, channels: int) -> tuple[str, ...]:
    is_wan = layout in (WAN, WAN_2D, WAN_DIFFUSERS)
    has_statistics = any(name.endswith("bn.running_mean") for name in header.tensors)
    allowed = tuple(
        row.name
        for row in BACKBONES.values()
        if row.vae
        and row.vae_channels == channels
        and (row.name == "qwenimage") == is_wan
        and (row.name == "flux2") == has_statistics
    )
    if not allowed:
        raise CheckpointMismatch(
            f"It is a VAE of {channels} channels{' with statistics' if has_statistics else ''}, "
            "which belongs to no latent family of PiD.",
            hint="FLUX.1, SD3: 16; FLUX.2: 32 with statistics; SDXL: 4; Qwen-Image: 16 in Wan's "
            "layout.",
        )
    return allowed


def _refuse_a_guess(family: str, source: str, hints: NameHints, declared: Declared) -> None:
    """SD 1.x has the same VAE with other numbers; its 4 channels are not proof of SDXL."""
    if family != "sdxl" or source == "config.json":
        return
    if hints.family != "sdxl" and declared.family != "sdxl":
        raise CheckpointMismatch(
            "Its tensors fit SDXL and SD 1.x alike, and no name says which.",
            hint="If it is SDXL's, put `sdxl` into its name; PiD has no weights for SD 1.x.",
        )


def _from_config(path: Path, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    """The family by diffusers' config.json beside the file, which names the normalisation."""
    try:
        config: Any = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        scale = float(config["scaling_factor"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if "sdxl" in allowed and abs(scale - _SD1_SCALE) < 1e-4:
        raise CheckpointMismatch("It is the VAE of SD 1.x, for which there are no PiD weights.")
    for name in allowed:
        rule = BACKBONES[name].normalisation
        if isinstance(rule, Affine) and abs(rule.scale - scale) < 1e-4:
            return name, "config.json"
    return None
