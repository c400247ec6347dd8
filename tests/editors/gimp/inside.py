# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F821
"""Runs inside GIMP's own Python, which brings Gimp, Gegl and Gio: carries out the cases that the
environment names, writes the raw pixels and a report. test_batch.py decides what is right.
"""

import hashlib
import json
import os
import time
import traceback

from gi.repository import Babl

IN, OUT = os.environ["IN"], os.environ["OUT"]
CASES = {}
U8 = "R'G'B'A u8"


def case(function):
    CASES[function.__name__] = function
    return function


# --- tools ----------------------------------------------------------------------------------------


def load(name):
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f"{IN}/{name}.png"))


def add(image, name, parent=None, position=0):
    layer = Gimp.file_load_layer(
        Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(f"{IN}/{name}.png")
    )
    image.insert_layer(layer, parent, position)
    return layer


def raw(drawable):
    rect = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    name = Babl.get_name(drawable.get_format())
    if drawable.is_indexed():
        name = U8
    return drawable.get_buffer().get(rect, 1.0, name, Gegl.AbyssPolicy.NONE), name


def digest(drawable):
    return hashlib.sha256(raw(drawable)[0]).hexdigest()[:16]


def every_layer(layers):
    for layer in layers:
        yield layer
        if layer.is_group():
            yield from every_layer(layer.get_children())


def describe(layer):
    mask = layer.get_mask()
    return {
        "id": layer.get_id(),
        "name": layer.get_name(),
        "offset": list(layer.get_offsets()[1:]),
        "size": [layer.get_width(), layer.get_height()],
        "mode": layer.get_mode().value_nick,
        "opacity": layer.get_opacity(),
        "visible": layer.get_visible(),
        "parent": layer.get_parent().get_name() if layer.get_parent() else None,
        "filters": len(layer.get_filters()),
        "mask": digest(mask) if mask else None,
        "sha": None if layer.is_group() else digest(layer),  # its children are listed
    }


def state(image):
    profile = image.get_color_profile()
    return {
        "size": [image.get_width(), image.get_height()],
        "base": image.get_base_type().value_nick,
        "precision": image.get_precision().value_nick,
        "resolution": list(image.get_resolution())[1:],
        "profile": hashlib.sha256(profile.get_icc_profile()).hexdigest() if profile else None,
        "selection": digest(image.get_selection()),
        "channels": [digest(one) for one in image.get_channels()],
        "layers": [describe(layer) for layer in every_layer(image.get_layers())],
    }


def dump(drawable, name):
    """Leave a drawable's own numbers in a file."""
    data, form = raw(drawable)
    with open(f"{OUT}/{name}.raw", "wb") as file:
        file.write(data)
    size = [drawable.get_height(), drawable.get_width()]
    return {"file": f"{OUT}/{name}.raw", "shape": size, "format": form.split("-space")[0]}


def call(kind, image, drawables, mode=None, **options):
    """Call a procedure; returns the status, the message and the image with the result."""
    procedure = Gimp.get_pdb().lookup_procedure(f"plug-in-pid-{kind}")
    config = procedure.create_config()
    config.set_property("run-mode", mode or Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    for name, value in options.items():
        config.set_property(name.replace("_", "-"), value)
    began_s = time.perf_counter()
    values = procedure.run(config)
    took_s = time.perf_counter() - began_s
    status = values.index(0).value_nick
    message = "" if status == "success" else Gimp.get_pdb().get_last_error()
    return {
        "status": status,
        "message": message,
        "seconds": round(took_s, 3),
        "result": values.index(1) if status == "success" else None,
    }


def act(kind, image, drawables, **options):
    """Call a procedure and leave everything that can be checked outside."""
    name = ACTIVE
    before = state(image)
    seen = [dump(one, f"{name}-source{i}") for i, one in enumerate(drawables)]
    known = {layer.get_id() for layer in every_layer(image.get_layers())}
    done = call(kind, image, drawables, **options)
    report = {**done, "before": before, "after": state(image), "sources": seen}
    target = report.pop("result")
    if target is not None:
        is_new = target.get_id() != image.get_id()
        layers = [
            one for one in every_layer(target.get_layers()) if is_new or one.get_id() not in known
        ]
        report["is_new"] = is_new
        report["target"] = state(target)
        report["made"] = [describe(one) for one in layers]
        report["pixels"] = [dump(one, f"{name}-made{i}") for i, one in enumerate(layers)]
        report["masks"] = [
            dump(one.get_mask(), f"{name}-mask{i}")
            for i, one in enumerate(layers)
            if one.get_mask()
        ]
        parasite = layers[0].get_parasite("pid-layers")
        report["note"] = json.loads(bytes(parasite.get_data())) if parasite else None
    return report


def two_layers():
    image = load("photo")
    top = add(image, "pattern")
    top.set_offsets(50, 40)
    return image, top


IDENTITY = {"engine": "identity"}


# --- the three placements -------------------------------------------------------------------------


@case
def new_image():
    image = load("photo")
    return act("upscale", image, image.get_layers(), scale=2.0, engine="compact")


@case
def same_size():
    image, top = two_layers()
    photo = image.get_layers()[1]
    return act("upscale", image, [photo], placement="same-size", engine="compact")


@case
def grow():
    image, top = two_layers()
    top.set_mode(Gimp.LayerMode.MULTIPLY)
    top.set_opacity(60.0)
    return act("upscale", image, [top], placement="grow", scale=2.0, **IDENTITY)


@case
def longest_side():
    image = load("photo")
    return act("upscale", image, image.get_layers(), longest=512, **IDENTITY)


# --- depths, spaces, kinds of pixels --------------------------------------------------------------


@case
def ramp16():
    image = load("ramp16")
    return act("upscale", image, image.get_layers(), scale=2.0, engine="compact", repair=0.0)


def converted(precision, profile=None, fill=None, kind="enhance", **options):
    image = load("pattern")
    if profile is not None:
        image.set_color_profile(profile)
    image.convert_precision(precision)
    layer = image.get_layers()[0]
    if fill is not None:
        rect = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
        buffer = layer.get_buffer()
        name = Babl.get_name(layer.get_format())
        data = buffer.get(rect, 1.0, name, Gegl.AbyssPolicy.NONE)
        buffer.set(rect, name, fill(data))
        buffer.flush()
        layer.update(0, 0, layer.get_width(), layer.get_height())
    return act(kind, image, [layer], **options)


@case
def u16():
    return converted(Gimp.Precision.U16_NON_LINEAR, **IDENTITY)


@case
def u16_linear():
    return converted(Gimp.Precision.U16_LINEAR, **IDENTITY)


@case
def u8_perceptual():
    return converted(Gimp.Precision.U8_PERCEPTUAL, **IDENTITY)


@case
def half():
    return converted(Gimp.Precision.HALF_NON_LINEAR, **IDENTITY)


def brighter(data):
    import array

    values = array.array("f", data)
    for i in range(0, len(values), 4):
        values[i] *= 4.0
    return values.tobytes()


@case
def float_linear():
    return converted(Gimp.Precision.FLOAT_LINEAR, fill=brighter, **IDENTITY)


@case
def float_linear_upscale():
    options = {"kind": "upscale", "scale": 2.0, "engine": "compact", "placement": "new-image"}
    return converted(Gimp.Precision.FLOAT_LINEAR, fill=brighter, **options)


@case
def double():
    return converted(Gimp.Precision.DOUBLE_LINEAR, **IDENTITY)


@case
def adobe_rgb():
    adobe = Gimp.ColorProfile.new_rgb_adobe()
    return converted(Gimp.Precision.U8_NON_LINEAR, adobe, **IDENTITY)


@case
def adobe_rgb_new_image():
    adobe = Gimp.ColorProfile.new_rgb_adobe()
    options = {"kind": "upscale", "scale": 2.0, "engine": "compact", "placement": "new-image"}
    return converted(Gimp.Precision.U16_NON_LINEAR, adobe, **options)


@case
def gray_alpha():
    image = load("gray")
    layer = image.get_layers()[0]
    layer.add_alpha()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 10, 10, 20, 20)
    layer.edit_clear()
    Gimp.Selection.none(image)
    return act("enhance", image, [layer], **IDENTITY)


@case
def indexed():
    image = load("indexed")
    return act("enhance", image, image.get_layers(), **IDENTITY)


@case
def indexed_new_image():
    image = load("indexed")
    return act("upscale", image, image.get_layers(), scale=1.0, **IDENTITY)


# --- kinds of layers ------------------------------------------------------------------------------


@case
def beyond_the_canvas():
    image = load("gray")
    image.convert_rgb()
    layer = add(image, "photo")
    layer.set_offsets(-100, -30)
    return act("enhance", image, [layer], **IDENTITY)


@case
def beyond_the_canvas_grow():
    image = load("gray")
    image.convert_rgb()
    layer = add(image, "photo")
    layer.set_offsets(-101, -31)
    return act("upscale", image, [layer], placement="grow", scale=1.5, **IDENTITY)


def masked_layer():
    image, top = two_layers()
    mask = top.create_mask(Gimp.AddMaskType.WHITE)
    top.add_mask(mask)
    buffer = mask.get_buffer()
    rect = Gegl.Rectangle.new(0, 0, 64, 48)
    buffer.set(rect, "Y u8", bytes(x * 4 for _ in range(48) for x in range(64)))
    buffer.flush()
    mask.update(0, 0, 64, 48)
    return image, top


@case
def masked():
    image, top = masked_layer()
    top.set_opacity(35.0)
    top.set_mode(Gimp.LayerMode.SCREEN)
    return act("enhance", image, [top], **IDENTITY)


@case
def masked_grow():
    image, top = masked_layer()
    return act("upscale", image, [top], placement="grow", scale=2.0, **IDENTITY)


def grouped():
    image = load("photo")
    group = Gimp.GroupLayer.new(image, "things")
    image.insert_layer(group, None, 0)
    one = add(image, "pattern", group)
    one.set_offsets(20, 30)
    return image, group, one


@case
def group():
    image, group, _ = grouped()
    return act("enhance", image, [group], **IDENTITY)


@case
def in_a_group():
    image, _, one = grouped()
    return act("enhance", image, [one], **IDENTITY)


def invert(layer):
    layer.append_filter(Gimp.DrawableFilter.new(layer, "gegl:invert-gamma", "invert"))


@case
def filtered():
    image, top = two_layers()
    invert(top)
    return act("enhance", image, [top], **IDENTITY)


@case
def filtered_group():
    image, group, _ = grouped()
    invert(group)
    return act("enhance", image, [group], **IDENTITY)


@case
def filter_that_grows():
    image, top = two_layers()
    top.append_filter(Gimp.DrawableFilter.new(top, "gegl:dropshadow", "shadow"))
    return act("enhance", image, [top], **IDENTITY)


@case
def text():
    image = load("photo")
    layer = Gimp.TextLayer.new(image, "PiD", Gimp.context_get_font(), 40, Gimp.Unit.pixel())
    image.insert_layer(layer, None, 0)
    layer.set_offsets(30, 20)
    return act("enhance", image, [layer], **IDENTITY)


@case
def link():
    """GIMP 3.2 and later."""
    if not hasattr(Gimp, "LinkLayer"):
        return {"status": "unknown here"}
    image = load("photo")
    layer = Gimp.LinkLayer.new(image, Gio.File.new_for_path(f"{IN}/pattern.png"))
    image.insert_layer(layer, None, 0)
    layer.set_offsets(30, 20)
    return act("enhance", image, [layer], **IDENTITY)


@case
def floating():
    image = load("photo")
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 40, 50, 60)
    layer = image.get_layers()[0]
    Gimp.edit_copy([layer])
    pasted = Gimp.edit_paste(layer, True)[0]
    return act("enhance", image, [pasted], **IDENTITY)


@case
def tiny():
    image = load("1x1")
    return act("upscale", image, image.get_layers(), scale=4.0, engine="compact")


@case
def odd():
    image = load("7x5")
    return act("upscale", image, image.get_layers(), scale=4.0, engine="compact")


@case
def wide():
    image = load("5000x300")
    return act("enhance", image, image.get_layers(), **IDENTITY)


# --- selections -----------------------------------------------------------------------------------


@case
def nothing_selected():
    image = load("photo")
    Gimp.Selection.none(image)
    return act("enhance", image, image.get_layers(), **IDENTITY)


@case
def selected():
    image, top = two_layers()
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 100, 120, 80, 60)
    photo = image.get_layers()[1]
    report = act("enhance", image, [photo], feather=0, padding=16, **IDENTITY)
    report["coverage"] = dump(image.get_selection(), "selected-coverage")
    return report


@case
def selected_grow():
    image = load("photo")
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 101, 121, 80, 60)
    options = {"placement": "grow", "scale": 2.0, "feather": 0, "padding": 16, **IDENTITY}
    return act("upscale", image, image.get_layers(), **options)


@case
def selected_outside():
    image, top = two_layers()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 250, 300, 20, 20)
    return act("enhance", image, [top], **IDENTITY)


# --- refusals -------------------------------------------------------------------------------------


@case
def mask_active():
    image, top = masked_layer()
    return act("enhance", image, [top.get_mask()], **IDENTITY)


@case
def channel_active():
    image = load("photo")
    channel = Gimp.Channel.new(image, "spot", 320, 384, 50.0, Gegl.Color.new("red"))
    image.insert_channel(channel, None, 0)
    return act("enhance", image, [channel], **IDENTITY)


@case
def locked():
    image, top = two_layers()
    top.set_lock_content(True)
    return act("enhance", image, [top], **IDENTITY)


@case
def empty():
    image = load("photo")
    kind, mode = Gimp.ImageType.RGBA_IMAGE, Gimp.LayerMode.NORMAL
    layer = Gimp.Layer.new(image, "nothing", 64, 48, kind, 100.0, mode)
    image.insert_layer(layer, None, 0)
    return act("enhance", image, [layer], **IDENTITY)


@case
def engine_unknown():
    image = load("7x5")
    return act("upscale", image, image.get_layers(), scale=4.0, weights="no such weights")


@case
def too_large():
    image = load("5000x300")
    return act("upscale", image, image.get_layers(), width=65536, height=65536, **IDENTITY)


# --- several layers, options, scripts -------------------------------------------------------------


@case
def several():
    image, top = two_layers()
    return act("upscale", image, image.get_layers(), placement="grow", scale=2.0, **IDENTITY)


@case
def several_new_image():
    image, top = two_layers()
    return act("upscale", image, image.get_layers(), scale=2.0, **IDENTITY)


@case
def source_hidden():
    image, top = two_layers()
    options = {"placement": "same-size", "keep_source": False, "seed": 7, "prompt": "grüße"}
    return act("upscale", image, [top], **options, **IDENTITY)


@case
def last_values():
    """Without a dialog before it, these are the defaults."""
    image = load("7x5")
    return act("upscale", image, image.get_layers(), mode=Gimp.RunMode.WITH_LAST_VALS)


@case
def recover():
    image = load("7x5")
    return act("recover", image, image.get_layers())


@case
def recover_without_an_image():
    done = call("recover", None, [])
    target = done.pop("result")
    return {**done, "target": state(target) if target else None}


REPORT = {}
for ACTIVE in os.environ.get("CASES", "").split() or list(CASES):
    try:
        REPORT[ACTIVE] = CASES[ACTIVE]()
    except Exception:
        REPORT[ACTIVE] = {"status": "exception", "message": traceback.format_exc()}
with open(f"{OUT}/report.json", "w") as file:
    json.dump(REPORT, file, default=str)
