# SPDX-License-Identifier: Apache-2.0
"""One way to run an upscale in a test, and pictures to run it on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pid_core.engines.base import Engine
from pid_core.engines.compact import BUILT_IN_WEIGHTS
from pid_core.engines.registry import create
from pid_core.pixels import PictureFormat, unpack
from pid_core.plan import Rect, UpscaleRequest, plan_upscale
from pid_core.upscale import UpscaleResult, upscale

Run = Callable[..., UpscaleResult]
_CHANNELS = {1: "gray", 2: "gray-alpha", 3: "rgb", 4: "rgba"}
_DEPTHS = {"uint8": "u8", "uint16": "u16", "float16": "f16", "float32": "f32"}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def engines() -> Callable[[str], Engine]:
    """Engines by name, each loaded once; a test that wants weights that are not there is
    skipped."""
    loaded: dict[str, Engine] = {}

    def get(name: str) -> Engine:
        if name == "compact" and not BUILT_IN_WEIGHTS.is_file():
            pytest.skip(f"no weights at {BUILT_IN_WEIGHTS}")
        if name not in loaded:
            loaded[name] = create(name)
        return loaded[name]

    return get


@pytest.fixture
def run(engines: Callable[[str], Engine]) -> Run:
    """Upscale an array [H, W, samples]; everything else by name."""

    def go(
        samples: np.ndarray,
        *,
        engine: str | Engine = "identity",
        kind: str = "upscale",
        mask: np.ndarray | None = None,
        region: Rect | None = None,
        order: str = "rgb",
        icc: bytes | None = None,
        encoding: str = "profile",
        **options: Any,
    ) -> UpscaleResult:
        worker = engines(engine) if isinstance(engine, str) else engine
        height, width, count = samples.shape
        fmt = PictureFormat(
            width, height, _CHANNELS[count], _DEPTHS[samples.dtype.name], order, icc, encoding
        )
        picture = unpack(np.ascontiguousarray(samples).tobytes(), fmt)
        options = {"engine": worker.info.name, **options}
        request = UpscaleRequest.from_options(kind, options, region, mask is not None)
        planned = replace(request, engine="compact") if worker.info.name == "stub" else request
        plan = plan_upscale(width, height, planned, channels=fmt.channels)
        if worker.info.name == "stub":
            plan = replace(plan, engine="stub")
        *_, last = upscale(picture, mask, request, plan, worker)
        return last.result

    return go


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """[48, 64, 3] uint8: something with edges, texture and colour."""
    y, x = np.mgrid[0:48, 0:64]
    rng = np.random.default_rng(3)
    base = np.stack(
        [
            120 + 90 * np.sin(x / 9 + y / 17),
            110 + 80 * np.cos(y / 7),
            90 + 70 * np.sin((x + y) / 12),
        ],
        -1,
    )
    base[12:30, 20:44] = (210, 60, 40)
    base[(x - 50) ** 2 + (y - 34) ** 2 < 60] = (30, 90, 200)
    return np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)
