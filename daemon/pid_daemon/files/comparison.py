# SPDX-License-Identifier: Apache-2.0
"""A picture that shows before and after side by side, whole and in close-ups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH_PX, MARGIN_PX, GAP_PX = 1600, 40, 16
CLOSE_UPS, ZOOM = 4, 3
BACKGROUND, TEXT, FAINT, ACCENT = (20, 22, 26), (235, 236, 238), (150, 154, 162), (255, 196, 84)
HEAD_PX, LABEL_PX = 72, 34


@dataclass(frozen=True)
class _Column:
    """One side of the comparison."""

    picture: Image.Image
    """At the result's size."""
    label: str


def comparison(source: Image.Image, result: Image.Image, title: str, subtitle: str) -> Image.Image:
    """Draw the source, enlarged by Lanczos, beside the result.

    Below the whole pictures lie close-ups of the places that differ most, each pixel of the result
    `ZOOM` times as large.

    Args:
        source: as it went in, RGB.
        result: as it came out, RGB.
        title: large line at the top.
        subtitle: small line below it.
    """
    before = source.resize(result.size, Image.Resampling.LANCZOS)
    columns = (_Column(before, "Lanczos"), _Column(result, "PiD Layers"))
    half = (WIDTH_PX - 2 * MARGIN_PX - GAP_PX) // 2
    tall = round(half * result.height / result.width)
    tile = (WIDTH_PX - 2 * MARGIN_PX - (CLOSE_UPS - 1) * GAP_PX) // CLOSE_UPS
    spots = _telling_spots(before, result, tile // ZOOM)
    height = MARGIN_PX + HEAD_PX + LABEL_PX + tall + GAP_PX
    if spots:
        height += 2 * (LABEL_PX + tile + GAP_PX)
    sheet = Image.new("RGB", (WIDTH_PX, height + MARGIN_PX - GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, MARGIN_PX), title, TEXT, _font(30))
    draw.text((MARGIN_PX, MARGIN_PX + 38), subtitle, FAINT, _font(18))

    top = MARGIN_PX + HEAD_PX
    for index, column in enumerate(columns):
        left = MARGIN_PX + index * (half + GAP_PX)
        draw.text((left, top + 10), column.label, ACCENT if index else FAINT, _font(18))
        whole = column.picture.resize((half, tall), Image.Resampling.LANCZOS)
        sheet.paste(whole, (left, top + LABEL_PX))
        _mark(draw, spots, (left, top + LABEL_PX), half / result.width, tile // ZOOM)
    top += LABEL_PX + tall + GAP_PX
    for index, column in enumerate(columns if spots else ()):
        label = f"{column.label}, {ZOOM}00 %"
        draw.text((MARGIN_PX, top + 10), label, ACCENT if index else FAINT, _font(18))
        for place, (x, y) in enumerate(spots):
            side = tile // ZOOM
            crop = column.picture.crop((x, y, x + side, y + side))
            crop = crop.resize((tile, tile), Image.Resampling.BICUBIC)
            sheet.paste(crop, (MARGIN_PX + place * (tile + GAP_PX), top + LABEL_PX))
        top += LABEL_PX + tile + GAP_PX
    return sheet


def _font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size_px)


def _mark(
    draw: ImageDraw.ImageDraw,
    spots: list[tuple[int, int]],
    origin: tuple[int, int],
    scale: float,
    side: int,
) -> None:
    """Frame the places of the close-ups."""
    for x, y in spots:
        left, top = origin[0] + x * scale, origin[1] + y * scale
        draw.rectangle((left, top, left + side * scale, top + side * scale), outline=TEXT, width=1)


def _telling_spots(before: Image.Image, after: Image.Image, side: int) -> list[tuple[int, int]]:
    """Corners of up to CLOSE_UPS squares in which the two differ most, apart from each other."""
    if min(after.size) < side * 2:
        return []
    gray = [np.asarray(picture.convert("L"), np.float32) for picture in (before, after)]
    change = np.square(gray[1] - gray[0])
    # twice as many places to choose from as squares fit beside each other
    step = side // 2
    rows, columns = change.shape[0] // step, change.shape[1] // step
    halves = change[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))
    sums = halves[:-1, :-1] + halves[1:, :-1] + halves[:-1, 1:] + halves[1:, 1:]
    spots: list[tuple[int, int]] = []
    for place in np.argsort(sums, axis=None)[::-1]:
        row, column = divmod(int(place), columns - 1)
        x, y = column * step, row * step
        if all(abs(x - a) > 2 * side or abs(y - b) > 2 * side for a, b in spots):
            spots.append((x, y))
        if len(spots) == CLOSE_UPS:
            break
    return sorted(spots)
