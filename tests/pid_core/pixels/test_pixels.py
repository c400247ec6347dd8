# SPDX-License-Identifier: Apache-2.0
"""Samples in and out, resampling, profiles, colour difference, alpha and masks, each against
something independent."""

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from pid_core.errors import InvalidImage
from pid_core.pixels import PictureFormat, pack, unpack
from pid_core.pixels.alpha import bled, enlarged
from pid_core.pixels.curves import to_linear, to_perceptual
from pid_core.pixels.delta_e import lab_delta_e_2000
from pid_core.pixels.mask import feathered
from pid_core.pixels.profile import Curve, parse
from pid_core.pixels.resample import Axis, blur, fit, resample
from pid_core.pixels.space import TableSpace, space_of


@pytest.mark.parametrize("depth", ("u8", "u16", "f16", "f32"))
@pytest.mark.parametrize("channels", ("gray", "gray-alpha", "rgb", "rgba"))
@pytest.mark.parametrize("order", ("rgb", "bgr"))
def test_samples_come_back_bit_for_bit(depth, channels, order):
    fmt = PictureFormat(5, 3, channels, depth, order)
    rng = np.random.default_rng(1)
    if depth in ("u8", "u16"):
        raw = rng.integers(0, 256, fmt.num_bytes).astype(np.uint8).tobytes()
    else:
        dtype = {"f16": np.float16, "f32": np.float32}[depth]
        raw = rng.uniform(0, 1, (3, 5, fmt.num_samples)).astype(dtype).tobytes()
    picture = unpack(raw, fmt)
    assert bytes(pack(picture)) == raw
    other = PictureFormat(5, 3, channels, depth, "bgr" if order == "rgb" else "rgb")
    turned = unpack(pack(picture, other), other)
    assert torch.equal(turned.colours(), picture.colours())
    assert bytes(pack(turned, fmt)) == raw


def test_sixteen_bits_survive_eight_do_not_overflow():
    fmt = PictureFormat(256, 256, "gray", "u16")
    raw = np.arange(65536, dtype=np.uint16).tobytes()
    assert bytes(pack(unpack(raw, fmt))) == raw
    eight = pack(unpack(raw, fmt), PictureFormat(256, 256, "gray", "u8"))
    assert eight[0] == 0 and eight[-1] == 255


def test_wrong_sizes_are_refused_in_numbers():
    with pytest.raises(InvalidImage, match="12 bytes; 11"):
        unpack(bytes(11), PictureFormat(2, 2))
    with pytest.raises(InvalidImage, match="channels"):
        PictureFormat(2, 2, "cmyk")
    with pytest.raises(InvalidImage, match="0 x 2"):
        PictureFormat(0, 2)


@pytest.mark.parametrize("kernel", ("bicubic", "lanczos"))
@pytest.mark.parametrize("size", ((60, 44), (17, 29), (40, 80), (31, 12)))
def test_resampling_agrees_with_pillow_inside(kernel, size):
    planes = torch.rand(2, 29, 31)
    ours = fit(planes, *size, kernel)
    method = {"bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}[kernel]
    theirs = [np.array(Image.fromarray(plane.numpy()).resize(size, method)) for plane in planes]
    reach = 3 * max(1.0, 31 / size[0], 29 / size[1])  # input samples that an edge is felt over
    x, y = (int(reach * new / old) + 1 for new, old in zip(size, (31, 29), strict=True))
    inner = (slice(None), slice(y, -y), slice(x, -x))
    assert ours[inner].numel() and torch.allclose(
        ours[inner], torch.from_numpy(np.array(theirs))[inner], atol=2e-6
    )


def test_area_is_an_exact_integral():
    ramp = torch.arange(10.0)[None, None].expand(1, 1, 10).contiguous()
    result = fit(ramp, 4, 1, "area")[0, 0]
    wanted = [(0 + 1 + 0.5 * 2) / 2.5, (0.5 * 2 + 3 + 4) / 2.5, (5 + 6 + 0.5 * 7) / 2.5]
    assert torch.allclose(result[:3], torch.tensor(wanted))
    planes = torch.rand(3, 12, 12)
    assert torch.allclose(fit(planes, 3, 4, "area"), planes.view(3, 4, 3, 3, 4).mean((2, 4)))


@pytest.mark.parametrize("wrap", (False, True))
def test_bands_and_crops_are_parts_of_the_whole(wrap):
    planes = torch.rand(3, 40, 50)
    whole = resample(planes, Axis(50, 130, wrap=wrap), Axis(40, 100, wrap=wrap))
    bands = [
        resample(
            planes,
            Axis(50, 130, wrap=wrap),
            Axis(40, 100, wrap=wrap),
            top=t,
            bottom=min(100, t + 9),
        )
        for t in range(0, 100, 9)
    ]
    assert torch.allclose(torch.cat(bands, 1), whole, atol=1e-6)
    part = resample(planes, Axis(50, 26, 10, 10, wrap), Axis(40, 25, 8, 10, wrap))
    assert torch.allclose(part, whole[:, 20:45, 26:52], atol=1e-5)


def test_blur_keeps_the_mean_and_wraps():
    planes = torch.zeros(1, 30, 30)
    planes[0, 0, 0] = 1
    soft = blur(planes, (2.0, 2.0), (True, True))
    assert float(soft.sum()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(soft[0, 0, 1:15], soft[0, 0, 16:].flip(0)[:14], atol=1e-6)


def test_the_tone_curve_and_its_inverse():
    values = torch.cat([torch.linspace(-2, 2, 4001), torch.tensor([0.0, 100.0, 65504.0])])
    back = to_perceptual(to_linear(values))
    assert torch.allclose(back, values, rtol=2e-6, atol=1e-6)
    assert float(to_linear(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize(
    "curve",
    [
        Curve(gamma=(2.19921875, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        Curve(gamma=(1.8, 1.0, 0.0, 1 / 16, 1 / 32, 0.0, 0.0)),
        Curve(gamma=(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0)),
        Curve(table=tuple((np.linspace(0, 1, 1024) ** 2.2).tolist())),
        Curve(table=(0.0, 0.0, 0.0, 0.1, 0.5, 1.0)),
    ],
)
def test_profile_curves_can_be_undone(curve):
    values = torch.linspace(0.3, 3, 1000)
    assert torch.allclose(curve.encoded(curve.working(values)), values, rtol=1e-5)
    levels = torch.arange(0, 65536) / 65535
    undone = curve.encoded(curve.working(levels))
    if curve.table[:3] != (0.0, 0.0, 0.0):
        assert torch.equal((undone * 65535).round(), (levels * 65535).round())


def test_our_reading_of_profiles_agrees_with_littlecms():
    profiles = {
        "adobe": imagecodecs.cms_profile("adobergb"),
        "p3": imagecodecs.cms_profile(
            "rgb",
            whitepoint=[0.3127, 0.3290, 1.0],
            primaries=[0.68, 0.32, 1.0, 0.265, 0.69, 1.0, 0.15, 0.06, 1.0],
            gamma=2.2,
        ),
        "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    srgb = np.random.default_rng(0).uniform(0.05, 0.95, (8, 40, 3)).astype(np.float32)
    for name, icc in profiles.items():
        native = imagecodecs.cms_transform(
            srgb,
            imagecodecs.cms_profile("srgb"),
            icc,
            colorspace="rgb",
            outcolorspace="rgb",
            outdtype=np.float32,
        )
        space, notices = space_of(PictureFormat(40, 8, "rgb", "f32", icc=icc))
        planes = torch.from_numpy(native).permute(2, 0, 1)
        ours = space.to_engine(space.to_working(planes))
        assert not notices and space.has_own_primaries == (name != "srgb")
        assert np.abs(ours.permute(1, 2, 0).numpy() - srgb).max() < 2e-3, name
        back = space.to_native(space.from_engine(ours))
        assert (back - planes).abs().max() < 1e-4


def test_table_profiles_go_through_littlecms():
    """The path for profiles of tables, on a profile whose answer the other path knows."""
    icc = imagecodecs.cms_profile("adobergb")
    space, _ = space_of(PictureFormat(16, 4, "rgb", "f32", icc=icc))
    planes = torch.rand(3, 4, 16) * 0.5 + 0.3
    table = TableSpace(icc)
    seen = table.to_engine(table.to_working(planes))
    ours = space.to_engine(space.to_working(planes))
    assert torch.allclose(seen.clamp(0, 1), ours.clamp(0, 1), atol=3e-3)
    assert torch.allclose(table.to_native(table.from_engine(seen)), planes, atol=3e-3)


def test_grey_profiles_bring_their_curve():
    icc = imagecodecs.cms_profile("gray", gamma=1.0)
    profile = parse(icc)
    assert profile.colours == "GRAY" and len(profile.curves) == 1
    space, notices = space_of(PictureFormat(1, 1, "gray", "f32", icc=icc))
    light = torch.tensor([[[0.2140411]]])
    if not profile.curves[0].is_srgb:
        assert float(space.to_working(light)) == pytest.approx(0.5, abs=1e-3)
    assert not notices


def test_damaged_profiles_are_said_not_raised():
    good = imagecodecs.cms_profile("adobergb")
    rng = np.random.default_rng(5)
    for _ in range(200):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 8):
            bad[place] = rng.integers(0, 256)
        bad = bytes(bad[: rng.integers(1, len(bad))])
        space, notices = space_of(PictureFormat(2, 2, "rgb", "u8", icc=bad))
        values = space.to_working(torch.rand(3, 2, 2))
        assert values.shape == (3, 2, 2)


def test_delta_e_against_the_published_pairs():
    """Source: Sharma, Wu, Dalal 2005, table 1; the pairs that separate right from wrong
    programs."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (56, -27, -3), 31.9030),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    first, second = (
        torch.tensor([pair[i] for pair in pairs], dtype=torch.float64).T for i in (0, 1)
    )
    wanted = torch.tensor([pair[2] for pair in pairs], dtype=torch.float64)
    assert torch.allclose(lab_delta_e_2000(first, second), wanted, atol=1e-4)


def test_bleeding_fills_and_leaves_the_visible_alone():
    colours, alpha = torch.zeros(3, 20, 24), torch.zeros(20, 24)
    colours[:, 8:12, 8:12] = torch.tensor([0.9, 0.5, 0.1])[:, None, None]
    alpha[8:12, 8:12] = 1
    filled = bled(colours, alpha)
    assert torch.equal(filled[:, 8:12, 8:12], colours[:, 8:12, 8:12])
    assert torch.allclose(
        filled, torch.tensor([0.9, 0.5, 0.1])[:, None, None].expand_as(filled), atol=1e-4
    )
    assert torch.isfinite(bled(colours, torch.zeros(20, 24))).all()


def test_alpha_in_bands_is_alpha_in_one_piece(monkeypatch):
    alpha = torch.zeros(60, 40)
    alpha[10:50, 5:30] = 1
    alpha[20:30, 10:20] = torch.linspace(0, 1, 10)
    x, y = Axis(40, 120), Axis(60, 180)
    whole = enlarged(alpha, x, y)
    monkeypatch.setattr("pid_core.pixels.alpha._BAND_PX", 120 * 12)
    assert (enlarged(alpha, x, y) - whole).abs().max() < 1e-4


def test_feathers_run_inwards_and_never_eat_a_thin_selection():
    mask = torch.zeros(60, 60)
    mask[10:50, 10:50] = 1
    soft = feathered(mask, 10)
    assert (soft <= mask).all() and float(soft[30, 30]) == 1
    edge = soft[30, 10:22]
    assert (edge.diff() >= 0).all() and float(edge[0]) < 0.2 and float(edge[11]) == 1
    thin = torch.zeros(60, 60)
    thin[30:32] = 1
    assert float(feathered(thin, 64).max()) >= 0.5
    assert torch.equal(feathered(mask, 0), mask)
    # a border of the picture is no edge of the selection
    assert torch.equal(feathered(torch.ones(9, 9), 8), torch.ones(9, 9))
