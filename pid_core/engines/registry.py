# SPDX-License-Identifier: Apache-2.0
"""All engines, by name. A new engine joins here and in `pid_core.plan.engines`, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pid_core.engines.base import Engine
from pid_core.errors import InvalidOptions
from pid_core.plan.engines import EngineReadiness, resolve_engine


def _identity(*, weights: str, device: str, dtype: str, **settings: Any) -> Engine:
    from pid_core.engines.identity import IdentityEngine

    return IdentityEngine()


def _compact(*, weights: str, device: str, dtype: str, **settings: Any) -> Engine:
    from pathlib import Path

    from pid_core.engines.compact import BUILT_IN_WEIGHTS, CompactEngine

    return CompactEngine(Path(weights) if weights else BUILT_IN_WEIGHTS, device)


def _pid(*, weights: str, device: str, dtype: str, **settings: Any) -> Engine:
    from pid_core.engines import pid

    return pid.create(weights=weights, device=device, dtype=dtype, **settings)


FACTORIES: Mapping[str, Callable[..., Engine]] = {
    "identity": _identity,
    "compact": _compact,
    "pid": _pid,
}
"""What makes each engine. A module is imported when its engine is made."""


def create(
    name: str, *, weights: str = "", device: str = "cpu", dtype: str = "float32", **settings: Any
) -> Engine:
    """Load an engine.

    Args:
        name: one of `names()`; not `auto`, see `resolve_engine`.
        weights: path or identifier of the weights; empty = the engine's default.
        device: where torch works: `cpu`, `cuda:0`, `mps`.
        dtype: arithmetic of the network: `float32` or `bfloat16`.
        settings: what only that engine knows, such as further files.
    Raises:
        InvalidOptions: no engine has that name.
        CheckpointError: the weights are missing or do not fit.
    """
    if name not in FACTORIES:
        raise InvalidOptions(
            f"There is no engine {name!r}.", hint=f"Engines: {', '.join(names())}."
        )
    return FACTORIES[name](weights=weights, device=device, dtype=dtype, **settings)


def names() -> tuple[str, ...]:
    """Engines that exist."""
    return tuple(FACTORIES)


__all__ = ["FACTORIES", "EngineReadiness", "create", "names", "resolve_engine"]
