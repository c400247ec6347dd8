# SPDX-License-Identifier: Apache-2.0
"""Planning without torch: sizes, tiles, and what the work will cost in seconds and bytes.

The broker answers `plan` requests from here before any worker exists; the worker runs exactly what was planned.
"""

from pid_core.plan.engine import EnginePlan
from pid_core.plan.tiles import Rect, tile_cores, with_halo

__all__ = ["EnginePlan", "Rect", "tile_cores", "with_halo"]
