# SPDX-License-Identifier: Apache-2.0
"""The engine that changes nothing: for tests and benchmarks of everything around an engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pid_core.engines.base import EngineInfo, EngineOptions, Step

if TYPE_CHECKING:
    import torch

    from pid_core.plan import EnginePlan


class IdentityEngine:
    """Answers with its input."""

    @property
    def info(self) -> EngineInfo:
        """Name, weights and licence for the record."""
        return EngineInfo("identity", "", "Apache-2.0", 1)

    def run(self, image: torch.Tensor, options: EngineOptions, plan: EnginePlan) -> Iterator[Step]:
        """One step, which carries the input itself."""
        yield Step("tile", 1.0, 1, 1, image=image)

    def resident_bytes(self) -> int:
        """It holds no weights."""
        return 0
