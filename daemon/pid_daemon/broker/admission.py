# SPDX-License-Identifier: Apache-2.0
"""Everything of a `submit` that can be judged before a byte of disk or memory is given to it. Pure
checks."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from pid_client.options import validated
from pid_daemon.broker.queue import PRIORITIES
from pid_protocol.errors import InvalidImage, InvalidRequest
from pid_protocol.limits import MAX_ICC_BYTES, MAX_TEXT_CHARS
from pid_protocol.messages import Submit
from pid_protocol.pixels import PixelFormat, Region

JOB_NAME = re.compile(r"[0-9a-f]{32}")
MAX_KEEP_ALIVE_S = 30 * 86_400.0
MIN_ICC_BYTES = 128
"""Length of a profile's header."""


def checked_submit(submit: Submit, profile: bytes) -> Submit:
    """Judge a submit.

    Args:
        submit: as it came.
        profile: blob 1; empty = none came.
    Returns:
        The submit with every row of the options table.
    Raises:
        InvalidRequest, InvalidImage: in words.
    """
    check_job_name(submit.job)
    options = validated(submit.kind, submit.options)
    check_image(submit.image, submit.region)
    if submit.priority not in PRIORITIES:
        raise InvalidRequest(
            f"priority is {submit.priority!r}; it has to be one of {', '.join(PRIORITIES)}."
        )
    if len(submit.title) > MAX_TEXT_CHARS:
        raise InvalidRequest(
            f"The title has {len(submit.title)} characters; at most {MAX_TEXT_CHARS} are taken."
        )
    _check_keep_alive(submit.keep_alive_s)
    _check_profile(submit.image, profile)
    return replace(submit, options=options)


def check_job_name(job: str) -> None:
    """Refuse identifiers that are not 32 hexadecimal digits: they name folders."""
    if not JOB_NAME.fullmatch(job):
        raise InvalidRequest("A job's identifier is 32 hexadecimal digits in lower case.")


def check_image(image: PixelFormat, region: Region | None) -> None:
    """Refuse pictures and parts of them that cannot be."""
    image.check()
    if region is None:
        return
    inside = (
        0 <= region.x < region.x + region.width <= image.width
        and 0 <= region.y < region.y + region.height <= image.height
    )
    if not inside:
        raise InvalidRequest(
            f"The region {region.width} x {region.height} at {region.x}, {region.y} does not lie "
            f"inside the picture of {image.width} x {image.height} px."
        )


def _check_keep_alive(keep_alive_s: float | None) -> None:
    if keep_alive_s is None or keep_alive_s == -1:
        return
    if not (math.isfinite(keep_alive_s) and 0 <= keep_alive_s <= MAX_KEEP_ALIVE_S):
        raise InvalidRequest(
            f"keep_alive_s is {keep_alive_s}; "
            f"it has to be -1 or lie between 0 and {MAX_KEEP_ALIVE_S:g}."
        )


def _check_profile(image: PixelFormat, profile: bytes) -> None:
    if image.profile != "icc":
        if profile:
            raise InvalidImage("An ICC profile came with a picture that says it has none.")
        return
    if not MIN_ICC_BYTES <= len(profile) <= MAX_ICC_BYTES:
        raise InvalidImage(
            f"The ICC profile has {len(profile)} bytes; "
            f"{MIN_ICC_BYTES} to {MAX_ICC_BYTES} are taken."
        )
    if profile[36:40] != b"acsp":
        raise InvalidImage("The ICC profile has no profile's signature.")
