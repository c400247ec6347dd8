# SPDX-License-Identifier: Apache-2.0
"""Every sentence and label that the editors show, once."""

from __future__ import annotations

from pid_protocol.errors import PidError
from pid_protocol.messages import Plan, Progress
from pid_protocol.pixels import PixelFormat, Region

READING = "Reading the layer"
CONNECTING = "Looking for the daemon"
PLACING = "Putting the result in place"
RECEIVING = "Receiving the result"
UNTITLED = "Recovered"
SPOT_TITLE = "Spot"
NOTHING_TO_RECOVER = "There is no finished result that was not received."
EXACT_SIZE_OF_SEVERAL = (
    "An exact size fits one layer only, and several are chosen. Use the scale or the longest side."
)
NO_LAYER = "No layer is chosen."
EMPTY_LAYER = "The layer {name} has no pixels."
LOCKED_LAYER = "The layer {name} is locked. Unlock it, or choose another one."
NOT_A_LAYER = "{name} is a mask or a channel, not a layer. Choose a layer."
SELECTION_OUTSIDE = "The selection lies outside the layer {name}."
LAYER_DELETED = "The layer {name} was deleted meanwhile. The result is kept and can be recovered."
DOCUMENT_GONE = "The document was closed meanwhile. The result is kept and can be recovered."
ANIMATED_LAYER = "The layer {name} is animated; only single pictures are worked on."
CONVERTED_LAYER = "The layer {name} was read through a copy, converted from {what} to RGB."

DONE = "Done"
RUN, CANCEL = "Run", "Cancel"
ADVANCED = "Advanced"
ROLL_SEED = "Roll a new seed"
NO_PREVIEW = "The preview appears here"
SPLIT_TOOLTIP = "Left of the line before, right of it after; drag it, or use the arrow keys."
REUSE = "Reuse Settings"
REUSE_TOOLTIP = "Take the settings of this document's last result."
NOTHING_TO_REUSE = "This document has no result of this kind yet."
RECOVER_LABEL = "Recover"
RECOVER_TOOLTIP = "A finished result that was not received: double-click opens it as a new image."
PLAN_LABEL = "Plan"
MODE_LABEL = "What to do"
READY = "Ready"
JOBS_LABEL = "Jobs"
NO_DOCUMENT = "No document is open."

UPSCALE_TITLE = "Upscale Layer"
ENHANCE_TITLE = "Enhance Layer or Selection"
RECOVER_TITLE = "Recover Last Result"
SPOT_LABEL = "Try a Spot"
BEFORE, AFTER = "before", "after"
LICENCE_TITLE = "A licence has to be accepted once"
LICENCE_QUESTION = (
    "{covers} come under the {title}. {terms} The whole text lies beside the weights at the place "
    "that they were fetched from. The built-in engine, compact, is free for any use.\n\n"
    "Do you accept this licence?"
)
LICENCE_YES, LICENCE_NO = "Accept", "Do not use them"
GROW_TOOLTIP = "The image and every other layer are scaled by the editor's own scaler."

_STAGES = {
    "loading": "Loading the model",
    "convert": "Reading the pixels",
    "encode": "Encoding",
    "tile": "Upscaling",
    "step": "Denoising",
    "decode": "Decoding",
    "finish": "Finishing",
}
_INSTANT_S = 0.95
_COUNTED = {"tile": "part", "step": "step", "encode": "part", "decode": "part"}


def queued(position: int) -> str:
    """One line about a waiting job."""
    return (
        "Starting"
        if position < 1
        else "Next in the queue"
        if position == 1
        else f"Queued, number {position}"
    )


def progress(event: Progress, index: int = 0, total: int = 1) -> str:
    """One line about a running job: stage, count, layer, time left."""
    parts = [_STAGES.get(event.stage, event.stage.capitalize())]
    if event.total > 1 and event.stage in _COUNTED:
        parts[0] += f", {_COUNTED[event.stage]} {event.index} of {event.total}"
    if total > 1:
        parts.append(f"layer {index + 1} of {total}")
    if event.eta_s is not None and event.eta_s >= 1:
        parts.append(f"{duration(event.eta_s)} left")
    return " – ".join(parts)


def duration(seconds: float) -> str:
    """A length of time, as a person says it."""
    if seconds < _INSTANT_S:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(num_bytes: int) -> str:
    """An amount of memory, as a person says it."""
    if num_bytes < 1e9:
        return f"{max(1, round(num_bytes / 1e6))} MB"
    return f"{num_bytes / 1e9:.1f} GB"


def plan_line(plan: Plan) -> str:
    """What a run will do: size, engine, tiles, time, memory."""
    parts = [f"{plan.width} × {plan.height} px", plan.engine]
    if plan.tiles > 1:
        parts.append(f"{plan.tiles} tiles")
    if plan.expected_s > 0:
        about = "about " if plan.expected_s >= _INSTANT_S else ""
        parts.append(about + duration(plan.expected_s))
    if plan.expected_bytes > 0:
        free = f" of {size(plan.free_bytes)} free" if plan.free_bytes > 0 else ""
        parts.append(size(plan.expected_bytes) + free)
    return ", ".join(parts)


def result_name(source: str, placement: str, image: PixelFormat, part: Region) -> str:
    """Name of the new layer: the source's, with what was done to it."""
    if placement == "same-size":
        return f"{source} (PiD enhanced)"
    return f"{source} (PiD {image.width / part.width:.3g}x)"


def error_box(error: PidError) -> tuple[str, str]:
    """Title and body of a message about an error."""
    titles = {
        "daemon_not_running": "The PiD daemon is not running",
        "version_mismatch": "The versions do not match",
        "cancelled": "Cancelled",
        "licence_not_accepted": "A licence has to be read first",
    }
    return titles.get(
        error.code, "PiD could not do this"
    ), f"{error.message}\n\n{error.hint}".strip()
