# SPDX-License-Identifier: Apache-2.0
"""Plans without torch: what a job would do, from the request and what is known of the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil

from pid_core.errors import CoreError
from pid_core.plan import Costs, DeviceFacts, UpscalePlan, UpscaleRequest, plan_upscale
from pid_core.plan.tiles import Rect
from pid_daemon.broker.shelf import Shelf
from pid_daemon.devices import likely_dtype
from pid_daemon.link import Holding
from pid_daemon.translate import from_core
from pid_protocol.messages import GetPlan, Plan, Submit


def plan_of(asked: Submit | GetPlan, facts: DeviceFacts, *, has_mask: bool = False) -> UpscalePlan:
    """Plan a job whose options are checked.

    Raises:
        InvalidRequest, OutOfMemory, CheckpointMissing, LicenceNotAccepted: in words.
    """
    part = asked.region
    region = Rect(part.x, part.y, part.width, part.height) if part else None
    try:
        request = UpscaleRequest.from_options(asked.kind, asked.options, region, has_mask)
        image = asked.image
        return plan_upscale(image.width, image.height, request, facts, channels=image.channels)
    except CoreError as error:
        raise from_core(error) from error


def facts_of(
    options: Mapping[str, Any],
    holdings: list[Holding],
    shelf: Shelf,
    costs: Costs,
    devices: tuple[str, ...],
) -> DeviceFacts:
    """What is known of the first device: from its worker once there was one, else from the
    system.

    Raises:
        PidError: the options ask for an engine by name, and this is why it cannot be.
    """
    device = _kind(holdings[0].device if holdings else devices[0])
    is_cpu = device == "cpu"
    return DeviceFacts(
        device=device,
        dtype=(holdings[0].dtype if holdings else "") or likely_dtype(device),
        free_bytes=_free_bytes(is_cpu, holdings),
        budget_bytes=shelf.config.memory_budget_mib << 20,
        readiness=shelf.readiness(options, has_gpu=not is_cpu),
        costs=costs,
    )


def answer(plan: UpscalePlan, facts: DeviceFacts) -> Plan:
    """The wire's form of a plan."""
    return Plan(
        width=plan.result_width_px,
        height=plan.result_height_px,
        engine=plan.engine,
        tiles=plan.tiles,
        expected_s=plan.expected_s,
        expected_bytes=plan.expected_bytes + plan.weights_bytes,
        free_bytes=facts.limit_bytes,
        notices=list(plan.notices),
    )


def _free_bytes(is_cpu: bool, holdings: list[Holding]) -> int:
    """What the first device has, loaded models included; 0 = not known."""
    resident_bytes = holdings[0].resident_bytes if holdings else 0
    if is_cpu:
        return psutil.virtual_memory().available + resident_bytes
    return holdings[0].free_bytes + resident_bytes if holdings else 0


def _kind(device: str) -> str:
    return "cpu" if device == "auto" else device.partition(":")[0]
