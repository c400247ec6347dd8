# SPDX-License-Identifier: Apache-2.0
"""ComfyUI's split of the pixel blocks' modulation, undone.

The official layer makes, for each pixel of a patch, six vectors: shift, scale, gate of the
attention, then of the MLP. A file saved by ComfyUI holds the first three and the last three apart.
"""

from __future__ import annotations

import re

import torch

from pid_core.errors import CheckpointMismatch

_SPLIT = re.compile(r"^(pixel_blocks\.\d+\.adaLN_modulation)_(msa|mlp)(?:\.0)?\.(weight|bias)$")


def merge_split_modulation(
    tensors: dict[str, torch.Tensor], pixel_size: int
) -> dict[str, torch.Tensor]:
    """Put the halves back together; leave everything else alone.

    Args:
        tensors: by official name, or with the halves in place of the whole.
        pixel_size: channels of a pixel token.
    Raises:
        CheckpointMismatch: a half is missing.
    """
    merged: dict[str, torch.Tensor] = {}
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        match = _SPLIT.match(name)
        if match is None:
            merged[name] = tensor
        else:
            halves.setdefault(f"{match[1]}.0.{match[3]}", {})[match[2]] = tensor
    for name, pair in halves.items():
        if len(pair) != 2:
            raise CheckpointMismatch(f"Of {name} only the half {next(iter(pair))} is there.")
        parts = [pair[half].unflatten(0, (-1, 3, pixel_size)) for half in ("msa", "mlp")]
        merged[name] = torch.cat(parts, dim=1).flatten(0, 2)
    return merged
