# SPDX-License-Identifier: Apache-2.0
"""What is known about one weights file. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PID, PIXELDIT, VAE, TEXT_ENCODER, UNKNOWN = "pid", "pixeldit", "vae", "text-encoder", "unknown"

NSCL = "NVIDIA NSCLv1: research and evaluation only, no commercial use."
GEMMA_TERMS = "Gemma Terms of Use."


@dataclass(frozen=True)
class Declared:
    """The user's word about a file; None = look for yourself."""

    family: str | None = None
    """Latent family."""
    variant: str | None = None
    """`2k`, `2kto4k` or `2kto4k_v1pt5`."""
    is_distilled: bool | None = None
    """False for undistilled (teacher) weights."""


Words = Mapping[str, Declared]
"""What was said about files, by their real paths."""


def word_about(path: Path, words: Words) -> Declared:
    """The user's word about a file; one that leaves everything open where there is none."""
    return words.get(os.path.realpath(path), Declared())


@dataclass(frozen=True)
class Description:
    """What a file is, and how that was found out."""

    role: str
    """`pid`, `pixeldit`, `vae`, `text-encoder` or `unknown`."""
    layout: str = ""
    """Names and dtype: `official pth`, `bf16`, `mxfp8`, `LDM`, `diffusers`, `Wan`, …"""
    prefix: str = ""
    """What precedes the official names in the file."""
    generation: str = ""
    """`v1` or `v1.5`."""
    family: str = ""
    """Latent family; empty while it is open."""
    family_from: str = ""
    """What decided: `weights`, `file name`, `folder name` or `your word`."""
    families: tuple[str, ...] = ()
    """Families that the weights allow."""
    variant: str = ""
    """`2k`, `2kto4k` or `2kto4k_v1pt5`; `1024px` or `2kto4k` of PixelDiT."""
    is_distilled: bool = True
    """A student of four steps rather than a teacher."""
    is_quantised: bool = False
    """Layers are stored in 8 bits and stay so in memory."""
    licence: str = ""
    """In one sentence."""
    problem: str = ""
    """Why the file cannot be used; empty = it can."""
    hint: str = ""
    """What to do about it."""
