# SPDX-License-Identifier: Apache-2.0
"""Plans: sizes, routes, tiles, costs, refusals; and no torch anywhere."""

import subprocess
import sys
from dataclasses import replace

import pytest

from pid_core.errors import (
    CheckpointMissing,
    InvalidOptions,
    LicenceNotAccepted,
    NotEnoughMemory,
)
from pid_core.plan import (
    Costs,
    DeviceFacts,
    EngineReadiness,
    Observation,
    PidFacts,
    Rect,
    UpscalePlan,
    UpscaleRequest,
    plan_upscale,
    resolve_engine,
    smaller,
)

PID = PidFacts("flux", "2kto4k_v1pt5", network_bytes=2_800_000_000)
READY = EngineReadiness(PID, pid_acknowledged=True, has_gpu=True)


@pytest.mark.parametrize(
    ("size", "options", "result"),
    [
        ((512, 384), {}, (2048, 1536)),
        ((512, 384), {"scale": 1.0}, (512, 384)),
        ((333, 101), {"scale": 1.5}, (500, 152)),
        ((1, 1), {"scale": 8.0}, (8, 8)),
        ((7, 5), {"scale": 2.7}, (19, 14)),
        ((5000, 300), {"longest": 8192}, (8192, 492)),
        ((300, 5000), {"longest": 2500}, (150, 2500)),
        ((100, 100), {"width": 321, "height": 123}, (321, 123)),
        ((100, 100), {"width": 321, "height": 123, "longest": 500}, (321, 123)),
    ],
)
def test_result_sizes(size, options, result):
    plan = plan_upscale(*size, UpscaleRequest.from_options("upscale", options))
    assert (plan.result_width_px, plan.result_height_px) == result


def test_enhance_keeps_the_size_of_the_region():
    request = UpscaleRequest.from_options("enhance", {}, Rect(10, 20, 30, 40))
    plan = plan_upscale(100, 100, request)
    assert (plan.result_width_px, plan.result_height_px) == (30, 40)
    assert (plan.passes[0].width_px, plan.passes[0].height_px) == (100, 100)


@pytest.mark.parametrize(
    ("size", "options", "words"),
    [
        ((100, 100), {"longest": 801}, "8 times"),
        ((100, 100), {"width": 100, "height": 801}, "8 times"),
        ((100, 100), {"width": 100}, "both sides"),
        ((40000, 200), {"scale": 2.0}, "65536"),
        ((30000, 30000), {"scale": 2.0}, "megapixels"),
        ((0, 5), {}, "0 x 5"),
    ],
)
def test_refusals_say_both_numbers(size, options, words):
    with pytest.raises(InvalidOptions, match=words):
        plan_upscale(*size, UpscaleRequest.from_options("upscale", options))


def test_a_region_outside_the_picture_is_refused():
    for region in (Rect(90, 0, 20, 20), Rect(-1, 0, 5, 5), Rect(0, 0, 0, 5)):
        with pytest.raises(InvalidOptions, match="does not lie"):
            plan_upscale(100, 100, UpscaleRequest(region=region))


@pytest.mark.parametrize(
    ("name", "readiness", "engine"),
    [
        ("auto", EngineReadiness(), "compact"),
        ("auto", READY, "pid"),
        ("auto", replace(READY, has_gpu=False), "compact"),
        ("auto", replace(READY, pid_acknowledged=False), "compact"),
        ("auto", replace(READY, pid=None), "compact"),
        ("pid", replace(READY, has_gpu=False), "pid"),
        ("compact", READY, "compact"),
        ("identity", READY, "identity"),
    ],
)
def test_which_engine(name, readiness, engine):
    assert resolve_engine(name, readiness) == engine


def test_engines_that_cannot_be_had():
    with pytest.raises(CheckpointMissing):
        resolve_engine("pid", EngineReadiness())
    with pytest.raises(LicenceNotAccepted):
        resolve_engine("pid", replace(READY, pid_acknowledged=False))
    with pytest.raises(InvalidOptions, match="esrgan"):
        resolve_engine("esrgan", READY)


@pytest.mark.parametrize(
    ("scale", "route"),
    [(1.0, "area"), (2.0, "area"), (3.0, "area"), (4.0, "native"), (6.0, "twice")],
)
def test_routes(scale, route):
    plan = plan_upscale(200, 100, UpscaleRequest(engine="compact", scale=scale))
    assert plan.route == route
    last = plan.passes[-1]
    assert last.width_px * last.scale >= plan.result_width_px
    assert last.height_px * last.scale >= plan.result_height_px


def test_plans_survive_the_wire():
    request = UpscaleRequest.from_options(
        "upscale", {"scale": 6.5, "wrap": "x"}, Rect(1, 2, 30, 20)
    )
    plan = plan_upscale(64, 48, request)
    values = plan.to_dict()
    assert UpscalePlan.from_dict(values) == plan
    assert all(isinstance(one, dict) for one in values["passes"])


def test_a_small_budget_means_small_tiles_and_a_tiny_one_a_sentence():
    request = UpscaleRequest(engine="pid")
    facts = DeviceFacts(device="cuda", readiness=replace(READY, pid=replace(PID, network_bytes=0)))
    wide = plan_upscale(2000, 2000, request, facts)
    tight_bytes = round(wide.expected_bytes * 0.9)
    tight = plan_upscale(2000, 2000, request, replace(facts, free_bytes=tight_bytes))
    assert tight.passes[0].tile_px < wide.passes[0].tile_px
    assert tight.tiles > wide.tiles and tight.expected_bytes <= tight_bytes
    with pytest.raises(NotEnoughMemory, match="smallest tiles"):
        plan_upscale(2000, 2000, request, DeviceFacts(readiness=READY, budget_bytes=10_000_000))


@pytest.mark.parametrize("engine", ["compact", "pid"])
def test_smaller_plans_need_less_and_end(engine):
    facts = DeviceFacts(device="cuda", dtype="bfloat16", readiness=READY)
    plan = plan_upscale(2000, 2000, UpscaleRequest(engine=engine), facts)
    plans = []
    while plan is not None:
        plans.append(plan)
        plan = smaller(plan, facts)
    sides = [one.passes[0].tile_px for one in plans]
    assert sides == sorted(sides, reverse=True) and len(set(sides)) == len(sides) > 2
    needed = [one.expected_bytes for one in plans]
    assert needed == sorted(needed, reverse=True) and needed[-1] < needed[0]
    assert plans[-1].tiles > plans[0].tiles
    assert plans[-1].weights_bytes == (PID.network_bytes if engine == "pid" else 0)


@pytest.mark.parametrize(
    ("pid", "dtype", "held"),
    [
        (replace(PID, encoder_bytes=5), "bfloat16", 2_800_000_005),
        (replace(PID, encoder_bytes=5), "float32", 5_600_000_005),
        (replace(PID, is_quantised=True), "float32", 2_800_000_000),
    ],
)
def test_the_weights_take_part_of_the_memory(pid, dtype, held):
    facts = DeviceFacts(device="cuda", dtype=dtype, readiness=replace(READY, pid=pid))
    plan = plan_upscale(1024, 1024, UpscaleRequest(engine="pid"), facts)
    assert plan.weights_bytes == held
    enough = replace(facts, free_bytes=plan.expected_bytes + held)
    assert plan_upscale(1024, 1024, UpscaleRequest(engine="pid"), enough) == plan
    short = plan_upscale(
        1024, 1024, UpscaleRequest(engine="pid"), replace(enough, free_bytes=enough.free_bytes - 1)
    )
    assert short.tiles > plan.tiles == 1


def test_windows_are_those_of_the_weights():
    def tiles(**changes):
        readiness = replace(READY, pid=replace(PID, **changes))
        facts = DeviceFacts(device="cuda", readiness=readiness)
        return plan_upscale(1000, 1000, UpscaleRequest(engine="pid"), facts).tiles

    assert tiles() == 1
    assert tiles(variant="2k") == 4  # 548 px are the most that these were trained with


def test_undistilled_weights_take_all_their_steps():
    plans = [
        plan_upscale(
            512,
            512,
            UpscaleRequest(engine="pid", steps=2),
            DeviceFacts(readiness=replace(READY, pid=replace(PID, is_distilled=is_distilled))),
        )
        for is_distilled in (True, False)
    ]
    assert [plan.passes[0].steps for plan in plans] == [2, 50]
    assert plans[1].expected_s > 10 * plans[0].expected_s


def test_costs_follow_what_was_seen():
    before = Costs()
    seen = Observation("compact", "float32", "cpu", expected_s=1.0, seconds=2.0)
    after = before
    for _ in range(20):
        after = after.refined(seen)
        planned = plan_upscale(512, 512, UpscaleRequest(engine="compact"), DeviceFacts(costs=after))
        seen = replace(seen, expected_s=planned.passes[0].expected_s, seconds=12.0)
    assert planned.passes[0].expected_s == pytest.approx(12.0, rel=0.02)
    assert before.to_dict() == {} and Costs.from_dict(after.to_dict()) == after
    assert Costs.from_dict({"compact/float32/cpu": {"nonsense": 1}}) == before


def test_one_odd_run_does_not_spoil_the_coefficients():
    odd = Observation("compact", "float32", "cpu", expected_s=1.0, seconds=1000.0)
    old, new = Costs(), Costs().refined(odd)
    key = ("compact", "float32", "cpu")
    assert new.of(*key).s_per_px <= 2 * old.of(*key).s_per_px


@pytest.mark.parametrize("module", ["pid_core.plan", "pid_core.inspect", "pid_core.errors"])
def test_without_torch(module):
    """The broker lives in little memory: neither torch nor numpy may come along."""
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
