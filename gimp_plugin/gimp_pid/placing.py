# SPDX-License-Identifier: Apache-2.0
"""Results as layers: everything that can fail is done before the person's image is touched."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from gi.repository import Babl, Gimp

from pid_client.editor import Placed
from pid_protocol.pixels import PixelFormat, Region

from . import pixels

PARASITE = "pid-layers"
"""Name of the note on a result: kind, options and record as JSON."""
_PRECISIONS = {
    ("u8", "profile"): Gimp.Precision.U8_NON_LINEAR,
    ("u8", "linear"): Gimp.Precision.U8_LINEAR,
    ("u8", "perceptual"): Gimp.Precision.U8_PERCEPTUAL,
    ("u16", "profile"): Gimp.Precision.U16_NON_LINEAR,
    ("u16", "linear"): Gimp.Precision.U16_LINEAR,
    ("u16", "perceptual"): Gimp.Precision.U16_PERCEPTUAL,
    ("f16", "profile"): Gimp.Precision.HALF_NON_LINEAR,
    ("f16", "linear"): Gimp.Precision.HALF_LINEAR,
    ("f16", "perceptual"): Gimp.Precision.HALF_PERCEPTUAL,
    ("f32", "profile"): Gimp.Precision.FLOAT_NON_LINEAR,
    ("f32", "linear"): Gimp.Precision.FLOAT_LINEAR,
    ("f32", "perceptual"): Gimp.Precision.FLOAT_PERCEPTUAL,
}


def above_sources(image: Gimp.Image, results: Sequence[Placed], grow: bool) -> None:
    """Insert each result above its source, as one undo step.

    Args:
        image: the image of the sources.
        results: what to insert.
        grow: scale the image and everything in it by the first result's factors before.
    """
    is_indexed = image.get_base_type() == Gimp.ImageBaseType.INDEXED
    made = [] if is_indexed else [_layer(image, one) for one in results]
    image.undo_group_start()
    try:
        if is_indexed:  # a layer takes the type of its image, so these have to wait
            image.convert_rgb()
            made = [_layer(image, one) for one in results]
        places = [_place(one, grow) for one in results]
        if grow:
            _scale(image, results)
        for layer, one, place in zip(made, results, places, strict=True):
            source = one.source.handle.layer
            image.insert_layer(layer, source.get_parent(), image.get_item_position(source))
            layer.set_offsets(*place)
            if not one.options.get("keep_source", True):
                source.set_visible(False)
    finally:
        image.undo_group_end()


def as_new_image(results: Sequence[Placed]) -> Gimp.Image:
    """Make an image that holds the results at their places to each other."""
    first = results[0]
    made = first.finished.image
    is_gray = made.channels.startswith("gray")
    places = [_place(one, True) for one in results]
    left, top = (min(place[i] for place in places) for i in (0, 1))
    ends = [
        (x + one.finished.image.width, y + one.finished.image.height)
        for (x, y), one in zip(places, results, strict=True)
    ]
    image = Gimp.Image.new_with_precision(
        max(x for x, _ in ends) - left,
        max(y for _, y in ends) - top,
        Gimp.ImageBaseType.GRAY if is_gray else Gimp.ImageBaseType.RGB,
        _PRECISIONS[made.depth, made.encoding],
    )
    image.undo_disable()
    if first.finished.icc is not None:
        image.set_color_profile(Gimp.ColorProfile.new_from_icc_profile(first.finished.icc))
    if first.source.handle is not None:
        original = first.source.handle.layer.get_image()
        image.set_resolution(*original.get_resolution()[1:])
        image.set_unit(original.get_unit())
    for (x, y), one in zip(places, results, strict=True):
        layer = _layer(image, one)
        image.insert_layer(layer, None, len(image.get_layers()))
        layer.set_offsets(x - left, y - top)
    image.undo_enable()
    return image


def _layer(image: Gimp.Image, placed: Placed) -> Gimp.Layer:
    """The finished layer, not yet in the image."""
    made = placed.finished.image
    alpha = "A" if made.has_alpha else ""
    is_gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = getattr(Gimp.ImageType, f"{'GRAY' if is_gray else 'RGB'}{alpha}_IMAGE")
    layer = Gimp.Layer.new(
        image, placed.name, made.width, made.height, kind, 100.0, Gimp.LayerMode.NORMAL
    )
    pixels.write(layer, placed.finished.pixels, made.row_bytes, pixels.babl_name(made, layer))
    note = {"kind": placed.kind, "options": placed.options, "record": placed.finished.record}
    content = json.dumps(note, default=str).encode()
    layer.attach_parasite(Gimp.Parasite.new(PARASITE, Gimp.PARASITE_PERSISTENT, content))
    if placed.source.handle is not None:
        _take_after(layer, placed)
    return layer


def _take_after(layer: Gimp.Layer, placed: Placed) -> None:
    """Give the new layer the source's mode, opacity and mask."""
    source = placed.source.handle.layer
    layer.set_opacity(source.get_opacity())
    if source.get_mode() != Gimp.LayerMode.PASS_THROUGH:  # only groups can have it
        layer.set_mode(source.get_mode())
        layer.set_blend_space(source.get_blend_space())
        layer.set_composite_space(source.get_composite_space())
        layer.set_composite_mode(source.get_composite_mode())
    mask = source.get_mask()
    if mask is None:
        return
    own = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(own)
    made = PixelFormat(layer.get_width(), layer.get_height())
    x, y = _place(placed, True)
    _, left, top = source.get_offsets()
    across, down = placed.factors
    area = Region(x - _rounded(left * across), y - _rounded(top * down), made.width, made.height)
    name = Babl.get_name(mask.get_format())
    data = pixels.read(mask, area, name, max(across, down))
    pixels.write(own, data, len(data) // made.height, name)
    layer.set_apply_mask(source.get_apply_mask())
    layer.set_edit_mask(False)


def _place(placed: Placed, is_scaled: bool) -> tuple[int, int]:
    """Where a result belongs on the canvas, or on the scaled canvas."""
    chosen, part = placed.source.handle, placed.region
    if chosen is None:
        return 0, 0
    x, y = (chosen.x + part.x, chosen.y + part.y) if part else (chosen.x, chosen.y)
    across, down = placed.factors if is_scaled else (1.0, 1.0)
    return _rounded(x * across), _rounded(y * down)


def _scale(image: Gimp.Image, results: Sequence[Placed]) -> None:
    across, down = results[0].factors
    layers = image.get_layers()
    sources = [one.source.handle.layer for one in results]
    Gimp.context_push()
    try:
        if all(layer in sources for layer in layers):
            # Only what the results cover is scaled: the person's interpolation, cubic as a rule,
            # would take twice the time (8192 px to 16384 px: 31 s).
            Gimp.context_set_interpolation(Gimp.InterpolationType.LINEAR)
        image.scale(_rounded(image.get_width() * across), _rounded(image.get_height() * down))
    finally:
        Gimp.context_pop()


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
