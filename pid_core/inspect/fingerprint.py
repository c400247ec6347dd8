# SPDX-License-Identifier: Apache-2.0
"""A file's identity in milliseconds, and where caption embeddings are kept. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_SAMPLES = 64
_SAMPLE_BYTES = 1 << 14


def fingerprint(paths: Iterable[Path]) -> str:
    """16 hex digits that change when a file does: its size, its head and 64 samples are hashed.

    A whole hash of a 5 GB encoder would take longer than encoding a caption.

    Args:
        paths: the parts of one model, in order.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            for index in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * index // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def caption_file(folder: Path, encoder: str, prompt: str) -> Path:
    """Where the embedding of a prompt lies.

    Args:
        folder: of all cached embeddings.
        encoder: fingerprint of the encoder.
        prompt: as the user wrote it; no file name tells it.
    """
    return folder / encoder / f"{hashlib.sha256(prompt.encode()).hexdigest()[:32]}.safetensors"


def cached_captions(folder: Path, prompt: str = "") -> list[Path]:
    """Embeddings of a prompt by any encoder, newest first; the broker asks for the empty one."""
    name = caption_file(folder, "", prompt).name
    return sorted(folder.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime, reverse=True)
