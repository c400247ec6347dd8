# SPDX-License-Identifier: Apache-2.0
"""Tiles leave no trace. benchmarks/seams.py does the same on photographs and larger pictures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pid_core.pixels import PictureFormat, unpack
from pid_core.plan import UpscaleRequest, plan_upscale
from pid_core.upscale import upscale


@pytest.mark.parametrize("size", ((70, 24), (64, 48), (97, 16)))
@pytest.mark.parametrize("flat", (False, True))
def test_steps_at_the_borders_of_tiles_are_those_of_the_whole(engines, photograph, size, flat):
    engine, (width, height) = engines("compact"), size
    if flat:
        ramp = (np.linspace(20000, 30000, width)[None] + np.arange(height)[:, None] * 20)[..., None]
        pixels = np.repeat(ramp, 3, 2).astype(np.uint16)
    else:
        pixels = np.tile(photograph, (1, 2, 1))[:height, :width].astype(np.uint16) * 257
    picture = unpack(pixels.tobytes(), PictureFormat(width, height, depth="u16"))
    request = UpscaleRequest(engine="compact")
    whole_plan = plan_upscale(width, height, request)
    cut = replace(whole_plan.passes[0], tile_px=20, tiles=math.ceil(width / 20))
    tiled_plan = replace(whole_plan, passes=(cut,))
    assert whole_plan.tiles == 1 and tiled_plan.tiles > 3
    whole, tiled = (
        list(upscale(picture, None, request, plan, engine))[-1].result.picture.samples.astype(float)
        for plan in (whole_plan, tiled_plan)
    )
    borders = [width * i // tiled_plan.tiles * 4 for i in range(1, tiled_plan.tiles)]
    steps = [
        np.mean([np.abs(one[:, x] - one[:, x - 1]).mean() for x in borders])
        for one in (whole, tiled)
    ]
    assert steps[1] <= 1.02 * steps[0]
