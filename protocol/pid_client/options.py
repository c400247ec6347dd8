# SPDX-License-Identifier: Apache-2.0
"""The one options table: every dial is a row here.

The command line, GIMP's arguments and Krita's widgets are made from the rows; the daemon validates
by the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pid_protocol.errors import InvalidRequest
from pid_protocol.limits import MAX_SIDE_PX, MAX_TEXT_CHARS

UPSCALE, ENHANCE = "upscale", "enhance"
KINDS = (UPSCALE, ENHANCE)
"""Kinds of jobs. `enhance` answers at the source's own size."""


@dataclass(frozen=True)
class Option:
    """One dial."""

    name: str
    """Key on the wire; with `-` for `_` the command line's and GIMP's name."""
    type: type
    """bool, int, float or str."""
    default: Any
    """Value when it is left out."""
    label: str
    """What a dialog calls it."""
    help: str
    """One sentence, shown as a tooltip and by --help."""
    low: float | None = None
    """Smallest number allowed."""
    high: float | None = None
    """Largest number allowed."""
    choices: tuple[str, ...] = ()
    """Allowed texts; empty = any."""
    hidden_choices: tuple[str, ...] = ()
    """Allowed, never shown: for tests and benchmarks."""
    advanced: bool = False
    """Shown only when a person unfolds the advanced rows."""
    kinds: tuple[str, ...] = KINDS
    """Jobs that have this row."""
    editor_only: bool = False
    """Carried out by the plugin; the daemon has no use for it."""


OPTIONS: tuple[Option, ...] = (
    Option("scale", float, 4.0, "Scale", "Enlargement of each side.", 1.0, 8.0, kinds=(UPSCALE,)),
    Option(
        "longest", int, 0, "Longest side",
        "Longest side of the result in pixels; 0 = use the scale.",
        0, MAX_SIDE_PX, kinds=(UPSCALE,),
    ),
    Option(
        "width", int, 0, "Exact width",
        "Width of the result in pixels, with the exact height; 0 = use the scale.",
        0, MAX_SIDE_PX, advanced=True, kinds=(UPSCALE,),
    ),
    Option(
        "height", int, 0, "Exact height",
        "Height of the result in pixels, with the exact width; 0 = use the scale.",
        0, MAX_SIDE_PX, advanced=True, kinds=(UPSCALE,),
    ),
    Option(
        "placement", str, "new-image", "Placement",
        "A sharper layer in place, the whole image enlarged, or a new image.",
        choices=("same-size", "grow", "new-image"), kinds=(UPSCALE,), editor_only=True,
    ),
    Option("prompt", str, "", "Prompt", "Describe the picture for better coherence; may be empty."),
    Option(
        "negative_prompt", str, "", "Negative prompt",
        "What the picture must not show; used by undistilled weights only.", advanced=True,
    ),
    Option(
        "repair", float, 0.0, "Faithful – Repair",
        "0 keeps to the source; towards 1 more is repaired and invented.", 0.0, 1.0,
    ),
    Option("seed", int, 0, "Seed", "The same seed gives the same picture.", 0, 2**31 - 1),
    Option(
        "engine", str, "auto", "Engine",
        "compact: built in, any use; pid: NVIDIA's, non-commercial; auto: the best that is ready.",
        choices=("auto", "compact", "pid"), hidden_choices=("identity",),
    ),
    Option(
        "weights", str, "", "Weights",
        "Names from `pid models`, by commas where a VAE or text encoder follows; empty = default.",
        advanced=True,
    ),
    Option(
        "colour_lock", bool, True, "Colour lock",
        "Keep the source's hue and tone.", advanced=True,
    ),
    Option(
        "sigma", float, -1.0, "Degradation sigma",
        "Noise assumed in the source, 0 to 0.8; -1 = follow Faithful – Repair.",
        -1.0, 0.8, advanced=True,
    ),
    Option(
        "steps", int, 4, "Steps", "Denoising steps of the PiD engine.", 1, 4, advanced=True,
    ),
    Option(
        "wrap", str, "none", "Seamless texture",
        "Edges that continue on the opposite side.",
        choices=("none", "x", "y", "both"), advanced=True,
    ),
    Option(
        "padding", int, 64, "Context padding",
        "Pixels around the selection that are read for context.", 0, 1024,
        advanced=True, editor_only=True,
    ),
    Option(
        "feather", int, 8, "Feather",
        "Pixels over which a selection's result fades out.", 0, 256, advanced=True,
    ),
    Option(
        "keep_source", bool, True, "Keep the source visible",
        "Off hides the source layer once the result is in place.", editor_only=True,
    ),
)  # fmt: skip
"""All rows, in the order in which dialogs show them."""

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
"""Rows by their name."""


def options_for(kind: str) -> tuple[Option, ...]:
    """Rows that a kind of job has.

    Raises:
        InvalidRequest: there is no such kind.
    """
    if kind not in KINDS:
        raise InvalidRequest(f"There is no job kind {kind!r}.", f"Kinds: {', '.join(KINDS)}.")
    return tuple(option for option in OPTIONS if kind in option.kinds)


def validated(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against the rows and fill in the defaults.

    Returns:
        One entry for each row of the kind, numbers in the row's own type.
    Raises:
        InvalidRequest: unknown row, wrong type, out of range, not one of the choices, or width
        without height.
    """
    rows = options_for(kind)
    known = [row.name for row in rows]
    for name in values:
        if name not in known:
            raise InvalidRequest(
                f"A job of the kind {kind} has no option {name!r}.", f"Options: {', '.join(known)}."
            )
    checked = {row.name: _checked(row, values.get(row.name, row.default)) for row in rows}
    if kind == UPSCALE and bool(checked["width"]) != bool(checked["height"]):
        raise InvalidRequest(
            f"An exact size needs both sides, not {checked['width']} x {checked['height']}."
        )
    return checked


def changed(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The checked values that differ from the defaults: what goes over the wire."""
    rows = {row.name: row for row in options_for(kind)}
    return {
        name: value
        for name, value in validated(kind, values).items()
        if value != rows[name].default
    }


def _checked(row: Option, value: Any) -> Any:
    if row.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, row.type) or (row.type is int and isinstance(value, bool)):
        raise InvalidRequest(
            f"{row.name} is {value!r}; it has to be of the type {row.type.__name__}."
        )
    if isinstance(value, str):
        _check_text(row, value)
    elif row.low is not None and row.high is not None:
        if not row.low <= value <= row.high:  # also refuses NaN
            raise InvalidRequest(
                f"{row.name} is {value}; it has to lie between {row.low:g} and {row.high:g}."
            )
    return value


def _check_text(row: Option, value: str) -> None:
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidRequest(
            f"{row.name} has {len(value)} characters; at most {MAX_TEXT_CHARS} are taken."
        )
    if row.choices and value not in row.choices + row.hidden_choices:
        raise InvalidRequest(
            f"{row.name} is {value!r}; it has to be one of {', '.join(row.choices)}."
        )
