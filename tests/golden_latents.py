# SPDX-License-Identifier: Apache-2.0
"""Checks of the golden file of kind `latents`: normalisation, packing, noise frames."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from golden_figures import Figure, Metadata, Tensors, max_abs, relative_rms

from pid_core.inspect.backbones import BACKBONES, PackedStatistics, TokenLayerNorm, TokenStatistics
from pid_core.latents.normalise import Statistics, denormalise, normalise
from pid_core.samplers.latent_noise import add_noise, from_variance_exploding

REL = 1e-6
"""As of the tables: one multiplication and one addition in float32."""


def check_latents(tensors: Tensors, metadata: Metadata) -> Iterator[Figure]:
    """Every family's latent from its encoder's mean and back; noise in both frames."""
    for name, end in (("flux", ""), ("sd3", ""), ("sdxl", "_after_quant_conv")):
        rule = BACKBONES[name].normalisation
        mean = tensors[f"{name}.moments{end}"].chunk(2, dim=1)[0]
        yield from _pair(name, normalise(mean, rule), tensors[f"{name}.latent"])
        if f"{name}.raw_back" in tensors:
            back = denormalise(tensors[f"{name}.latent"], rule)
            yield from _pair(f"{name} back", back, tensors[f"{name}.raw_back"])
    yield from _qwen(tensors)
    yield from _flux2(tensors)
    yield from _tokens(tensors)
    yield from _noise(tensors)


def _pair(name: str, ours: torch.Tensor, golden: torch.Tensor) -> Iterator[Figure]:
    if ours.shape != golden.shape:
        yield Figure(f"{name} shape", math.inf, 0)
    else:
        yield Figure(name, relative_rms(ours, golden), REL)


def _qwen(tensors: Tensors) -> Iterator[Figure]:
    rule = BACKBONES["qwenimage"].normalisation
    yield Figure("qwen means", max_abs(torch.tensor(rule.means), tensors["qwen.mean"]), REL)
    yield Figure("qwen stds", max_abs(torch.tensor(rule.stds), tensors["qwen.std"]), REL)
    yield from _pair("qwen", normalise(tensors["qwen.mu"], rule), tensors["qwen.latent"])
    yield from _pair(
        "qwen back", denormalise(tensors["qwen.latent"], rule), tensors["qwen.raw_back"]
    )


def _flux2(tensors: Tensors) -> Iterator[Figure]:
    rule = BACKBONES["flux2"].normalisation
    assert isinstance(rule, PackedStatistics)
    statistics = Statistics(tensors["flux2.bn_running_mean"], tensors["flux2.bn_running_var"])
    mean = tensors["flux2.moments"].chunk(2, dim=1)[0]
    yield from _pair("flux2", normalise(mean, rule, statistics), tensors["flux2.latent"])
    back = denormalise(tensors["flux2.latent"], rule, statistics)
    yield from _pair("flux2 back", back, tensors["flux2.raw32_back"])
    spread = torch.nn.functional.pixel_shuffle(tensors["flux2.latent"], 2)
    yield from _pair("flux2 unpatchified", spread, tensors["flux2.v15_unpatchified"])


def _tokens(tensors: Tensors) -> Iterator[Figure]:
    rule = BACKBONES["dinov2"].normalisation
    assert isinstance(rule, TokenStatistics)
    statistics = Statistics(tensors["dinov2.mean"], tensors["dinov2.var"])
    ours = normalise(tensors["dinov2.tokens_chw"], rule, statistics)
    yield from _pair("dinov2", ours, tensors["dinov2.latent"])
    yield from _pair(
        "dinov2 back",
        denormalise(tensors["dinov2.latent"], rule, statistics),
        tensors["dinov2.back"],
    )
    rule = BACKBONES["siglip"].normalisation
    assert isinstance(rule, TokenLayerNorm)
    tokens = tensors["siglip.tokens"]
    side = math.isqrt(tokens.shape[1])
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    yield from _pair("siglip", normalise(grid, rule), tensors["siglip.latent"])


def _noise(tensors: Tensors) -> Iterator[Figure]:
    for key, golden in tensors.items():
        parts = key.split(".s")
        if key.startswith("add_noise.") and len(parts) == 2:
            frame = BACKBONES[parts[0].removeprefix("add_noise.")].noise_frame
            ours = add_noise(
                tensors["add_noise.latent"], tensors["add_noise.eps"], float(parts[1]), frame
            )
            yield from _pair(key, ours, golden)
        elif key.startswith("sdxl_frame.s") and key != "sdxl_frame.sigma_map":
            ours, _ = from_variance_exploding(tensors["add_noise.latent"], float(parts[1]))
            yield from _pair(key, ours, golden)
    for exploding, preserving in tensors["sdxl_frame.sigma_map"].tolist():
        _, sigma = from_variance_exploding(torch.zeros(1), exploding)
        yield Figure(f"sdxl sigma {exploding}", abs(sigma - preserving), REL)
