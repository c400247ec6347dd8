# SPDX-License-Identifier: Apache-2.0
"""The engine `pid`: encode the picture, decode it at four times the size with NVIDIA's PiD."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pid_core.engines.pid.engine import PidEngine
from pid_core.errors import LicenceNotAccepted
from pid_core.inspect import Declared, choose, scan

__all__ = ["PidEngine", "create"]


def create(
    *,
    weights: str = "",
    device: str = "cpu",
    dtype: str = "bfloat16",
    vae: str = "",
    text_encoder: str = "",
    model_folders: Sequence[str | Path] = (),
    cache_folder: str | Path = "",
    looks: bool = True,
    licence_accepted: bool = False,
    declared: Declared | None = None,
) -> PidEngine:
    """Choose the files and load the engine.

    Args:
        weights: path or identifier of a PiD file; empty = the best one found.
        device: where torch works: `cpu`, `cuda:0`, `mps`.
        dtype: arithmetic of the network: `float32` or `bfloat16`.
        vae: path or identifier; empty = one of the same latent family.
        text_encoder: path or identifier; empty = the one found, if any.
        model_folders: where files are looked for; a named file's own folder is looked into as well.
        cache_folder: for caption embeddings, safetensors twins of .pth files and what headers said.
        looks: whether folders are looked into at all; False = only the named files are used.
        licence_accepted: the licence of the weights was acknowledged.
        declared: the user's word about `weights`, which then has to be a path.
    Raises:
        LicenceNotAccepted: it was not.
        CheckpointMissing: a file is lacking; says which.
        CheckpointMismatch: a file is not what it should be.
    """
    if not licence_accepted:
        raise LicenceNotAccepted(
            "The licence of NVIDIA's PiD weights (non-commercial research and evaluation) has not "
            "been acknowledged yet.",
            hint="Acknowledge it once, or choose the engine compact, which is free for any use.",
        )
    cache = Path(cache_folder).expanduser() if cache_folder else None
    named = [Path(file).expanduser() for file in (weights, vae, text_encoder) if file]
    folders = [Path(folder) for folder in model_folders]
    folders += [file.parent for file in named if file.is_file()]
    cache_file = cache / "headers.json" if cache else None
    rows = scan(folders, cache_file=cache_file) if looks else []
    words = {os.path.realpath(Path(weights).expanduser()): declared} if declared else {}
    files = choose(rows, weights=weights, vae=vae, text_encoder=text_encoder, words=words)
    return PidEngine(files, device=device, dtype=dtype, cache_folder=cache)
