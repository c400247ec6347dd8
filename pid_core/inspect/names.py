# SPDX-License-Identifier: Apache-2.0
"""What a file's name and its folders' names say: latent family, variant, generation, student or
teacher.

The file's own name comes first, then the nearest folder. Torch-free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FAMILIES = (
    # `flux_2k` is FLUX.1 in the size 2k; `flux_2`, `flux.2` and `flux2` are FLUX.2
    ("flux2", re.compile(r"(?<![a-z0-9])(?:flux[-_.]?2(?![0-9]*k)|klein)")),
    ("flux", re.compile(r"(?<![a-z0-9])(?:flux(?![-_.]?2(?![0-9]*k))|z[-_]?image|boogu)")),
    ("sd3", re.compile(r"(?<![a-z0-9])(?:sd[-_]?3|stable[-_]diffusion[-_]3)")),
    ("sdxl", re.compile(r"(?<![a-z0-9])(?:sdxl|stable[-_]diffusion[-_]xl)")),
    ("qwenimage", re.compile(r"(?<![a-z0-9])(?:qwen|wan[-_]?2[._]?1)")),
    ("dinov2", re.compile(r"(?<![a-z0-9])dino[-_]?v2")),
    ("siglip", re.compile(r"(?<![a-z0-9])siglip")),
)
_V15 = re.compile(r"v1pt5|v1[._]5(?![0-9])|(?<![a-z0-9.])1\.5(?![0-9])")
_TO_4K = re.compile(r"2k[-_]?to[-_]?4k|1024_to_4096")
_2K = re.compile(r"(?:res|(?<![a-z0-9]))2k(?![-_]?to)|512_to_2048")
_COMFY_RANGE = re.compile(r"\d+_to_\d+")
_TEACHER = re.compile(r"undistilled|teacher")
_FOLDERS_READ = 4


@dataclass(frozen=True)
class NameHints:
    """What names say; None or empty where they say nothing."""

    family: str | None = None
    """Latent family."""
    family_from: str = ""
    """Where the family was read: `file name` or `folder name`."""
    to_4k: bool | None = None
    """True for the 2k-to-4k variants, False for 2k."""
    is_v15: bool | None = None
    """True when a name says v1.5."""
    is_teacher: bool | None = None
    """True for undistilled weights, False when a name says that they are distilled."""


def read_names(path: Path) -> NameHints:
    """Read the file's name, then up to four folders above it, nearest first."""
    stem = path.name.lower()
    folders = [part.lower() for part in reversed(path.parent.parts)][:_FOLDERS_READ]
    family, source = _family(stem), "file name"
    if family is None:
        source = "folder name"
        family = next((found for found in map(_family, folders) if found), None)
    texts = [stem, *folders]
    return NameHints(
        family=family,
        family_from=source if family else "",
        to_4k=next((found for found in map(_size, texts) if found is not None), None),
        is_v15=True if any(_V15.search(text) for text in texts[:2]) else None,
        is_teacher=_teacher(texts[:2]),
    )


def _family(text: str) -> str | None:
    found = [name for name, pattern in _FAMILIES if pattern.search(text)]
    if found == ["flux2", "flux"]:  # `flux-klein`
        return "flux2"
    return found[0] if len(found) == 1 else None


def _size(text: str) -> bool | None:
    if _TO_4K.search(text):
        return True
    return False if _2K.search(text) else None


def _teacher(texts: list[str]) -> bool | None:
    if any(_TEACHER.search(text) for text in texts):
        return True
    if any("distill" in text or "4step" in text for text in texts):
        return False
    # ComfyUI's names carry `_4step`; the one without it is the teacher (a third party's record,
    # not verified)
    return True if _COMFY_RANGE.search(texts[0]) else None
