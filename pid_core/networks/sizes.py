# SPDX-License-Identifier: Apache-2.0
"""The numbers that shape a PiD network, read from the official option names. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Self

from pid_core.errors import CheckpointMismatch

_OURS: dict[str, str] = {
    "in_channels": "image_channels",
    "num_groups": "num_heads",
    "hidden_size": "hidden_size",
    "pixel_hidden_size": "pixel_size",
    "pixel_attn_hidden_size": "pixel_attention_size",
    "pixel_num_groups": "num_pixel_heads",
    "patch_depth": "num_patch_blocks",
    "pixel_depth": "num_pixel_blocks",
    "patch_size": "patch_px",
    "txt_embed_dim": "caption_size",
    "txt_max_length": "caption_length",
    "use_text_rope": "has_text_rope",
    "text_rope_theta": "text_rope_theta",
    "rope_mode": "rope_mode",
    "rope_ref_h": "rope_reference_height_px",
    "rope_ref_w": "rope_reference_width_px",
    "lq_latent_channels": "latent_channels",
    "lq_hidden_dim": "latent_hidden_size",
    "lq_num_res_blocks": "num_res_blocks",
    "lq_latent_unpatchify_factor": "unpatchify",
    "lq_conv_padding_mode": "padding_mode",
    "lq_gate_type": "gate",
    "lq_interval": "injection_interval",
    "sr_scale": "upscale",
    "latent_spatial_down_factor": "downsample",
    "pit_lq_inject": "has_pixel_injection",
}
"""Official option name -> our field."""

_WITHOUT_EFFECT = frozenset(
    {
        "num_text_blocks",
        "repa_encoder_index",
        "enable_ed",
        "ed_compress_ratio",
        "ed_depth_per_stage",
        "ed_window_size",
        "ed_num_heads",
        "ed_hidden_size",
        "ed_use_token_shuffle",
        "lq_aux_rgb_head",
        "lq_aux_rgb_head_latent_block_idx",
        "zero_init_lq",
        "train_lq_proj_only",
    }
)
"""Official options that do not change what a released network computes."""

_REQUIRED: dict[str, Any] = {
    "lq_inject_mode": "controlnet",
    "lq_in_channels": 0,
    "enable_ed": False,
}
"""Official options of which only one value is supported: the one that every released file has."""

GATES = ("sigma_aware_per_token", "sigma_aware_per_token_per_dim")
PADDING_MODES = ("zeros", "replicate", "reflect")
ROPE_MODES = ("original", "ntk_aware")


@dataclass(frozen=True, kw_only=True)
class PixelDitSizes:
    """What shapes the text-to-image backbone, which every PiD network contains."""

    image_channels: int = 3
    """Channels of the image: red, green, blue."""
    hidden_size: int
    """Width of an image or text token."""
    num_heads: int
    """Attention heads of a patch block."""
    pixel_size: int
    """Channels of one pixel token."""
    pixel_attention_size: int
    """Width of a patch inside a pixel block's attention."""
    num_pixel_heads: int
    """Attention heads of a pixel block."""
    num_patch_blocks: int
    """Transformer blocks over patches and text."""
    num_pixel_blocks: int
    """Transformer blocks over pixels."""
    patch_px: int
    """Side of a patch in pixels; both sides of an image are multiples of it."""
    caption_size: int
    """Width of a caption embedding row."""
    caption_length: int
    """Most caption rows that are looked at; rows behind it are cut off."""
    has_text_rope: bool = True
    """Whether caption rows carry a rotary position."""
    text_rope_theta: float = 10000.0
    """Base of the caption's rotary frequencies."""
    rope_mode: str = "original"
    """`original`: one frequency base; `ntk_aware`: the base follows each axis's size."""
    rope_reference_height_px: int = 1024
    """Image height at which the base needs no adjustment."""
    rope_reference_width_px: int = 1024
    """Image width at which the base needs no adjustment."""

    def __post_init__(self) -> None:
        _check_choice("rope_mode", self.rope_mode, ROPE_MODES)
        for width, heads in (
            (self.hidden_size, self.num_heads),
            (self.pixel_attention_size, self.num_pixel_heads),
        ):
            if width % (4 * heads):
                raise CheckpointMismatch(
                    f"{width} channels over {heads} heads do not give head sizes divisible by 4"
                )
        if self.pixel_size % 4:
            raise CheckpointMismatch(f"pixel size {self.pixel_size} is not divisible by 4")

    @property
    def feed_forward_size(self) -> int:
        """Inner width of a patch block's SwiGLU: two thirds of four times the token's width."""
        return 8 * self.hidden_size // 3

    @property
    def patch_pixels(self) -> int:
        """Pixels in one patch."""
        return self.patch_px**2

    @classmethod
    def from_official(cls, kwargs: Mapping[str, Any]) -> Self:
        """Read a network's constructor options as the official code names them.

        Raises:
            CheckpointMismatch: an option is unknown, missing, or has a value that no released
            network has.
        Source: nv-tlabs/PiD 2c8814c, networks/pid_net.py::PidNet.__init__
        """
        names = {field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in kwargs.items():
            if key in _REQUIRED and value != _REQUIRED[key]:
                raise CheckpointMismatch(
                    f"{key}={value!r} is not supported, only {_REQUIRED[key]!r}"
                )
            if _OURS.get(key) in names:
                values[_OURS[key]] = value
            elif key not in _WITHOUT_EFFECT and key not in _REQUIRED:
                raise CheckpointMismatch(f"{cls.__name__} has no option named {key!r}")
        if values.get("pixel_attention_size") is None:
            values["pixel_attention_size"] = values.get("hidden_size")
        if values.get("num_pixel_heads") is None:
            values["num_pixel_heads"] = values.get("num_heads")
        try:
            return cls(**values)
        except TypeError as error:
            raise CheckpointMismatch(f"the network's options are incomplete: {error}") from error


@dataclass(frozen=True, kw_only=True)
class PidNetSizes(PixelDitSizes):
    """What shapes a PiD decoder: the backbone and the branch that reads the latent."""

    rope_mode: str = "ntk_aware"
    """As in the backbone; every released decoder follows the image's size."""
    latent_channels: int
    """Channels of the latent as the caller passes it (128 for packed FLUX.2)."""
    latent_hidden_size: int = 512
    """Channels of the convolutions over the latent."""
    num_res_blocks: int = 4
    """Residual blocks of the convolutions over the latent."""
    unpatchify: int = 1
    """Factor by which a packed latent is spread over space first; 1 = it is used as it is."""
    padding_mode: str = "zeros"
    """Border of the convolutions: `zeros` (v1), `replicate` (v1.5) or `reflect`."""
    gate: str = "sigma_aware_per_token_per_dim"
    """One gate for a token (v1.5) or one for each of its channels (v1)."""
    injection_interval: int = 1
    """The latent is injected before every block whose index this divides."""
    upscale: int = 4
    """Output pixels per pixel of the image that the latent encodes, along one side."""
    downsample: int = 8
    """Pixels of that image per latent cell, along one side."""
    has_pixel_injection: bool = False
    """Whether the latent also reaches the pixel blocks (v1.5)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("padding_mode", self.padding_mode, PADDING_MODES)
        _check_choice("gate", self.gate, GATES)
        if self.latent_channels % self.unpatchify**2:
            raise CheckpointMismatch(
                f"{self.latent_channels} channels cannot be unpatchified by {self.unpatchify}"
            )
        if self.cells_per_token < 1 and self.cells_per_token.numerator != 1:
            raise CheckpointMismatch(
                f"a patch must hold a whole number of latent cells, not {1 / self.cells_per_token}"
            )

    @property
    def cells_per_token(self) -> Fraction:
        """Patches per latent cell along one side, after unpatchify: 2 for FLUX.1 at 4x."""
        return Fraction(self.upscale * self.downsample, self.unpatchify * self.patch_px)

    @property
    def fold(self) -> int:
        """Latent cells folded into one patch along one side; 1 unless cells are the finer grid."""
        return max(1, int(1 / self.cells_per_token))

    @property
    def conv_in_channels(self) -> int:
        """Channels that the first convolution over the latent reads."""
        return self.latent_channels // self.unpatchify**2 * self.fold**2

    @property
    def num_injections(self) -> int:
        """Patch blocks that the latent is injected before."""
        return -(-self.num_patch_blocks // self.injection_interval)

    @property
    def output_px_per_latent(self) -> int:
        """Output pixels per latent cell, as the caller passes it, along one side."""
        return self.upscale * self.downsample


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise CheckpointMismatch(f"{name} is {value!r}; choose one of {', '.join(choices)}")
