# SPDX-License-Identifier: Apache-2.0
"""From the names in a PiD or PixelDiT file to the official names without a prefix. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

from pid_core.inspect.quantisation import LEGACY_MARKERS

PREFIXES = (
    "net.", "core.", "model.diffusion_model.net.", "model.diffusion_model.core.",
    "model.diffusion_model.", "",
)  # fmt: skip
"""Prefixes that files are known to carry, most specific first."""

EVERY_NETWORK_HAS = "s_embedder.proj.weight"
"""A tensor of the patch embedder, in PiD and PixelDiT alike."""

# Training leftovers. Source: the official loader, and ComfyUI's for PixelDiT's own trainer.
_DROPPED = (
    "net_ema.", "fake_score.", "discriminator.", "repa_loss.", "_repa_projector",
    "lq_proj.lq_aux_rgb_head.",
)  # fmt: skip


def find_prefix(names: Iterable[str]) -> str | None:
    """The prefix of a PiD or PixelDiT file's names, or None when the file holds neither."""
    present = set(names)
    return next((prefix for prefix in PREFIXES if prefix + EVERY_NETWORK_HAS in present), None)


def official_names(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Map names in the file to official ones; leave out what training left behind.

    A name outside of the prefix stays as it is, so that exact loading reports it.
    """
    mapped: dict[str, str] = {}
    for name in names:
        official = name.removeprefix(prefix)
        if name in LEGACY_MARKERS or official == "scaled_fp8" or official == "pos_embed":
            continue
        if name.startswith(_DROPPED) or official.startswith(_DROPPED):
            continue
        mapped[name] = official
    return mapped
