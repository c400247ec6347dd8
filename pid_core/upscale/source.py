# SPDX-License-Identifier: Apache-2.0
"""The source as an upscale needs it: working planes, what the engine reads, alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pid_core.pixels.alpha import bled
from pid_core.pixels.picture import Picture
from pid_core.pixels.space import Space, space_of

_FINITE_MAX = 65504.0
"""What an infinite sample counts as: the largest half float."""


@dataclass
class Source:
    """A picture, converted once."""

    space: Space
    """Conversions of its colour."""
    working: Tensor
    """[C, h, w]: the sRGB curve on the picture's own primaries, not clipped, bled under alpha."""
    hidden: Tensor | None
    """[C, h, w]: the same before bleeding; None when nothing is hidden."""
    engine: Tensor
    """[3, h, w] sRGB in [0, 1]."""
    alpha: Tensor | None
    """[h, w] in [0, 1]."""
    is_plain: bool
    """Whether `engine` holds everything that `working` does, so that an engine's output is the
    answer."""
    notices: list[str]
    """Sentences about what had to be done."""

    def on(self, device: torch.device) -> Source:
        """The same on another device."""
        if self.working.device == device:
            return self
        moved = {
            name: None if plane is None else plane.to(device)
            for name, plane in (
                ("working", self.working),
                ("hidden", self.hidden),
                ("engine", self.engine),
                ("alpha", self.alpha),
            )
        }
        return replace(self, **moved)


def prepare(picture: Picture) -> Source:
    """Convert a picture for an engine."""
    space, notices = space_of(picture.format)
    native = picture.colours()
    if not picture.check_finite():
        native = torch.nan_to_num(native, nan=0.0, posinf=_FINITE_MAX, neginf=-_FINITE_MAX)
        notices = [
            *notices,
            "Samples that were not numbers count as black, infinite ones as 65504.",
        ]
    working, hidden = space.to_working(native), None
    alpha = picture.alpha()
    if alpha is not None:
        filled = bled(working, alpha)
        if filled is not working and bool((alpha == 0).any()):
            hidden = working
        working = filled
    engine = space.to_engine(working)
    low, high = engine.aminmax()
    inside = bool(low >= 0) and bool(high <= 1)
    if not inside:
        engine = engine.clamp(0, 1)
    return Source(
        space=space,
        working=working,
        hidden=hidden,
        engine=engine,
        alpha=alpha,
        is_plain=inside and not space.has_own_primaries,
        notices=notices,
    )
