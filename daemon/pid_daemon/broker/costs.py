# SPDX-License-Identifier: Apache-2.0
"""What work costs on this machine: the planner's coefficients, refined by every finished job and
kept on disk."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from pid_core.plan import Costs, Observation, UpscalePlan

log = logging.getLogger(__name__)

AROUND_THE_ENGINE = ("loading", "convert", "finish")
"""Stages that the engine's coefficients do not stand for."""

MIN_TELLING_S = 0.5
"""Shorter runs say more about everything around the pixels than about the pixels."""


class CostBook:
    """Coefficients and their file."""

    def __init__(self, path: Path) -> None:
        """Read what earlier runs learned; a file that makes no sense is passed over."""
        self._path = path
        self.costs = Costs()
        try:
            self.costs = Costs.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s is passed over: %s", path, error)

    def learn(self, record: dict[str, Any]) -> None:
        """Mix in a finished job."""
        try:
            plan = UpscalePlan.from_dict(record["plan"])
            seconds = sum(
                spent
                for stage, spent in record["seconds"].items()
                if stage not in AROUND_THE_ENGINE
            )
            observed = Observation(
                engine=plan.engine,
                dtype=plan.passes[0].dtype,
                device=str(record["device"]).partition(":")[0],
                expected_s=sum(one.expected_s for one in plan.passes),
                seconds=seconds,
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            log.warning("a record teaches nothing: %r", error)
            return
        if max(observed.expected_s, observed.seconds) < MIN_TELLING_S:
            return
        self.costs = self.costs.refined(observed)
        self._save()

    def _save(self) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_text(json.dumps(self.costs.to_dict()), encoding="utf-8")
            os.replace(temporary, self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror)
