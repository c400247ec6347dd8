# SPDX-License-Identifier: Apache-2.0
"""Python imports this at its start where PYTHONPATH names this folder: trained sizes become a
sixty-fourth, so that the small networks of the tests decode small pictures in seconds."""

from __future__ import annotations

from dataclasses import replace

from pid_core.inspect import generations

SMALL = generations.TrainedSizes(256 * 256, 512 * 512, 512, 16 / 9 + 0.01)

for _name, _row in list(generations.VARIANTS.items()):
    generations.VARIANTS[_name] = replace(_row, sizes=SMALL)  # type: ignore[index]
