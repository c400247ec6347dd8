# SPDX-License-Identifier: Apache-2.0
"""What work costs: measured coefficients, and how a daemon refines them from its own runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

_KEEP = 0.7
"""Part of an old coefficient that one observation leaves."""
_MAX_JUMP = 4.0
"""One odd run (a busy machine, a cold disk) changes a coefficient by at most this factor before
mixing."""


@dataclass(frozen=True)
class Coefficients:
    """Costs of one engine in one arithmetic on one kind of device: a + b * pixels."""

    fixed_s: float
    """Seconds of a run before the first pixel."""
    s_per_px: float
    """Seconds per input pixel and step, halos counted."""
    fixed_bytes: int
    """Memory of a run before the first pixel, without the weights."""
    bytes_per_tile_px: float
    """Peak memory per input pixel of one tile, its halo included."""
    bytes_per_px: float
    """Memory per pixel of the engine's whole output."""
    attention_half_px: float = 0.0
    """Area of a tile at which attention, which grows with its square, costs as much as all else;
    0 = there is none."""

    def work_px(self, area_px: float) -> float:
        """Work for one tile, in pixels of one so small that attention costs nothing."""
        attention = area_px / self.attention_half_px if self.attention_half_px else 0.0
        return area_px * (1 + attention)


@dataclass(frozen=True)
class Observation:
    """One finished run."""

    engine: str
    """Engine that ran."""
    dtype: str
    """Its arithmetic."""
    device: str
    """Kind of device: `cpu`, `cuda`, `mps`."""
    expected_s: float
    """What the plan said."""
    seconds: float
    """What it took."""
    expected_bytes: int = 0
    """What the plan said; 0 = not known."""
    peak_bytes: int = 0
    """What it took; 0 = not measured."""


DEFAULTS: Mapping[str, Coefficients] = MappingProxyType(
    {
        "identity/float32/cpu": Coefficients(0.0, 0.0, 0, 0.0, 0.0),
        "compact/float32/cpu": Coefficients(0.05, 1.4e-5, 40_000_000, 32_000.0, 12.0),
        "compact/bfloat16/cpu": Coefficients(0.05, 6.0e-6, 40_000_000, 24_000.0, 12.0),
        "compact/float32/cuda": Coefficients(0.05, 3.0e-7, 1_500_000_000, 1_600.0, 12.0),
        "compact/bfloat16/cuda": Coefficients(0.05, 1.0e-7, 800_000_000, 1_000.0, 12.0),
        # Measured in bfloat16 on two cores (Zen 4): 1024 and 2048 px of output in 24 and 222 s a
        # step, 0.3 and 0.6 GB above the weights and the sampler's state. float32 and GPUs are
        # scaled from that, by the rates of their products and of their attention.
        "pid/float32/cpu": Coefficients(2.0, 4.6e-4, 300_000_000, 3_500.0, 60.0, 362.0**2),
        "pid/bfloat16/cpu": Coefficients(2.0, 2.0e-4, 300_000_000, 2_000.0, 60.0, 282.0**2),
        # A GPU holds the state of at most 1 GiB; that of larger pictures lies in the host's memory.
        "pid/float32/cuda": Coefficients(0.5, 2.0e-6, 3_300_000_000, 4_500.0, 0.0, 362.0**2),
        "pid/bfloat16/cuda": Coefficients(0.5, 5.0e-7, 2_200_000_000, 2_500.0, 0.0, 362.0**2),
    }
)
"""Starting values by `engine/dtype/device`."""

FINISH_S_PER_PX = 8e-8
"""Seconds per result pixel for lock, resampling, packing. Measured: one CPU core, RGB, 8 bits."""
HOST_BYTES_PER_PX = 16.0
"""Memory per result pixel around the engine: the packed result and the cached working copy."""


@dataclass(frozen=True)
class Costs:
    """All coefficients that are known."""

    table: Mapping[str, Coefficients] = field(default_factory=lambda: DEFAULTS)
    """By `engine/dtype/device`."""

    def of(self, engine: str, dtype: str, device: str) -> Coefficients:
        """Coefficients for that combination; a kind of device that was never measured counts as a
        CPU."""
        for key in (
            f"{engine}/{dtype}/{device}",
            f"{engine}/float32/{device}",
            f"{engine}/{dtype}/cpu",
            f"{engine}/float32/cpu",
        ):
            if key in self.table:
                return self.table[key]
        return Coefficients(0.0, 0.0, 0, 0.0, 0.0)

    def refined(self, observed: Observation) -> Costs:
        """Mix one run's figures into its combination's coefficients; self stays as it is."""
        old = self.of(observed.engine, observed.dtype, observed.device)
        time = _mixed(observed.expected_s, observed.seconds)
        memory = _mixed(observed.expected_bytes, observed.peak_bytes)
        new = replace(
            old,
            fixed_s=old.fixed_s * time,
            s_per_px=old.s_per_px * time,
            fixed_bytes=round(old.fixed_bytes * memory),
            bytes_per_tile_px=old.bytes_per_tile_px * memory,
            bytes_per_px=old.bytes_per_px * memory,
        )
        key = f"{observed.engine}/{observed.dtype}/{observed.device}"
        return Costs(MappingProxyType({**self.table, key: new}))

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Only what differs from the defaults, for the daemon to keep."""
        return {
            key: asdict(value) for key, value in self.table.items() if DEFAULTS.get(key) != value
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Costs:
        """Defaults, overlaid with what `to_dict` gave; rows that make no sense are passed over."""
        table = dict(DEFAULTS)
        for key, row in values.items():
            try:
                table[key] = Coefficients(**row)
            except TypeError:
                continue
        return cls(MappingProxyType(table))


def _mixed(expected: float, seen: float) -> float:
    if expected <= 0 or seen <= 0:
        return 1.0
    ratio = min(max(seen / expected, 1 / _MAX_JUMP), _MAX_JUMP)
    return _KEEP + (1 - _KEEP) * ratio
