# SPDX-License-Identifier: Apache-2.0
"""PixelDiT: a transformer over patches and text, then one over pixels; the body of PiD as well.

Inference only. What does not depend on the noisy image or the step is made once by `prepare` and
reused for all steps; the wide layers run over runs of tokens, so that attention is the only thing
that sees all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from pid_core.errors import ShapeMismatch
from pid_core.generators import result_of
from pid_core.networks.embeddings import (
    TIME_SCALE,
    CaptionEmbedder,
    FinalLayer,
    PatchEmbedder,
    PixelEmbedder,
    PixelPositions,
    TimestepEmbedder,
)
from pid_core.networks.latent_branch import LatentFeatures
from pid_core.networks.layers import token_chunks
from pid_core.networks.patch_block import PatchBlock
from pid_core.networks.pixel_block import PixelBlock
from pid_core.networks.rope import image_table, text_table
from pid_core.networks.sizes import PixelDitSizes

Evaluation = Generator[float, None, torch.Tensor]
"""Yields the part of a call of the network that is done, in (0, 1]; returns what it made."""

_CHUNK_TOKENS = {"cpu": 256}
"""Tokens that pass through the wide layers at once; few on a CPU, because of its caches."""
_CHUNK_TOKENS_DEFAULT = 8192


@dataclass(frozen=True)
class Conditioning:
    """What a network knows about one image beyond the noisy image itself and the step."""

    height: int
    """Image height in pixels."""
    width: int
    """Image width in pixels."""
    text: torch.Tensor
    """[B, N, hidden_size] float32, text tokens with their position."""
    patch_table: torch.Tensor
    """[L, head size / 2] complex64, rotations of patches in the patch blocks."""
    pixel_table: torch.Tensor
    """[L, head size / 2] complex64, rotations of patches in the pixel blocks."""
    text_table: torch.Tensor | None
    """[N, head size / 2] complex64, rotations of text tokens; None when they have none."""
    pixel_positions: PixelPositions
    """Codes of every pixel's place in the whole image."""
    chunk_tokens: int
    """Tokens that pass through the wide layers at once."""
    latent: LatentFeatures | None = None
    """What the latent contributes; None = decode from noise and text alone."""


class Backbone(nn.Module):
    """The layers that both networks have. Tensor names are the official ones; there are no buffers.

    Source: nv-tlabs/PiD 2c8814c, networks/pixeldit_official.py::PixDiT_T2I
    """

    def __init__(self, sizes: PixelDitSizes) -> None:
        super().__init__()
        self.sizes = sizes
        hidden = sizes.hidden_size
        self.pixel_embedder = PixelEmbedder(sizes.image_channels, sizes.pixel_size)
        self.s_embedder = PatchEmbedder(sizes.image_channels, sizes.patch_px, hidden)
        self.t_embedder = TimestepEmbedder(hidden)
        self.y_embedder = CaptionEmbedder(sizes.caption_size, hidden)
        self.y_pos_embedding = nn.Parameter(torch.zeros(1, sizes.caption_length, hidden))
        self.patch_blocks = nn.ModuleList(
            PatchBlock(hidden, sizes.num_heads, sizes.feed_forward_size)
            for _ in range(sizes.num_patch_blocks)
        )
        self.pixel_blocks = nn.ModuleList(
            PixelBlock(
                hidden,
                sizes.patch_pixels,
                sizes.pixel_size,
                sizes.pixel_attention_size,
                sizes.num_pixel_heads,
            )
            for _ in range(sizes.num_pixel_blocks)
        )
        self.final_layer = FinalLayer(sizes.pixel_size, sizes.image_channels)

    @property
    def compute_dtype(self) -> torch.dtype:
        """Dtype of matrix products and convolutions: that of the weights as they were loaded."""
        return self.y_pos_embedding.dtype

    @torch.no_grad()
    def velocity(
        self, image: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """Velocity (noise minus clean image) of a noisy image.

        Args:
            image: [B, 3, H, W] float32, nominally (1 - t) * clean + t * noise.
            timestep: [B] float32, 1000 * t.
            conditioning: made by `prepare` for the same B, H and W.
        Returns:
            [B, 3, H, W] float32; nothing is clamped.
        Raises:
            ShapeMismatch: the image is not what the conditioning was made for.
        """
        return result_of(self.velocity_by_blocks(image, timestep, conditioning))

    @torch.no_grad()
    def velocity_by_blocks(
        self, image: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning
    ) -> Evaluation:
        """`velocity`, one yield after each block: on a CPU a single call may take minutes."""
        self._check_image(image, conditioning)
        time = self.t_embedder(timestep)
        num_blocks = len(self.patch_blocks) + len(self.pixel_blocks)
        condition = yield from self._patch_tokens(image, time, conditioning, num_blocks)
        pixels = self.pixel_embedder(image, conditioning.pixel_positions)
        for done, block in enumerate(self.pixel_blocks, start=1 + len(self.patch_blocks)):
            block(pixels, condition, conditioning.pixel_table, chunk=conditioning.chunk_tokens)
            yield done / num_blocks
        return self._to_image(pixels, conditioning)

    def velocity_field(
        self, conditioning: Conditioning
    ) -> Callable[[torch.Tensor, float], torch.Tensor]:
        """`velocity` as samplers call it: of a noisy image and the schedule's own t in [0, 1]."""
        evaluate = self.evaluator(conditioning)
        return lambda image, t: result_of(evaluate(image, t))

    def evaluator(self, conditioning: Conditioning) -> Callable[[torch.Tensor, float], Evaluation]:
        """`velocity_by_blocks` of a noisy image and the schedule's own t in [0, 1]."""

        def evaluate(image: torch.Tensor, t: float) -> Evaluation:
            timestep = torch.full((image.shape[0],), TIME_SCALE * t, device=image.device)
            return self.velocity_by_blocks(image, timestep, conditioning)

        return evaluate

    @torch.no_grad()
    def with_caption(
        self, conditioning: Conditioning, caption_embeddings: torch.Tensor
    ) -> Conditioning:
        """The same image under another caption (the negative prompt); everything else is shared."""
        text = self._text_tokens(caption_embeddings)
        table = self._text_table(text)
        return replace(conditioning, text=text, text_table=table)

    def _prepare_body(
        self, caption_embeddings: torch.Tensor, height: int, width: int, chunk_tokens: int | None
    ) -> Conditioning:
        """Tables and text tokens for an image of `height` x `width` pixels."""
        sizes, device = self.sizes, caption_embeddings.device
        if height < 1 or width < 1 or height % sizes.patch_px or width % sizes.patch_px:
            raise ShapeMismatch(
                f"image sides must be multiples of {sizes.patch_px} px, not {width} x {height}",
                hint="pad the picture, or choose a size that fits",
            )
        rows, columns = height // sizes.patch_px, width // sizes.patch_px
        reference = None
        if sizes.rope_mode == "ntk_aware":
            reference = (
                sizes.rope_reference_height_px / sizes.patch_px,
                sizes.rope_reference_width_px / sizes.patch_px,
            )
        patch_head = sizes.hidden_size // sizes.num_heads
        pixel_head = sizes.pixel_attention_size // sizes.num_pixel_heads
        text = self._text_tokens(caption_embeddings)
        return Conditioning(
            height=height,
            width=width,
            text=text,
            patch_table=image_table(rows, columns, patch_head, reference).to(device),
            pixel_table=image_table(rows, columns, pixel_head, reference).to(device),
            text_table=self._text_table(text),
            pixel_positions=PixelPositions.build(
                height, width, sizes.patch_px, sizes.pixel_size, device
            ),
            chunk_tokens=chunk_tokens or _CHUNK_TOKENS.get(device.type, _CHUNK_TOKENS_DEFAULT),
        )

    def _text_tokens(self, caption_embeddings: torch.Tensor) -> torch.Tensor:
        """Caption rows -> [B, N, hidden_size] float32; rows behind `caption_length` are cut off."""
        size = self.sizes.caption_size
        if caption_embeddings.dim() != 3 or caption_embeddings.shape[-1] != size:
            raise ShapeMismatch(
                f"caption embeddings must be [B, N, {size}], not {list(caption_embeddings.shape)}"
            )
        embeddings = caption_embeddings[:, : self.sizes.caption_length]
        positions = self.y_pos_embedding[:, : embeddings.shape[1]].float()
        return self.y_embedder(embeddings) + positions

    def _text_table(self, text: torch.Tensor) -> torch.Tensor | None:
        if not self.sizes.has_text_rope:
            return None
        head_size = self.sizes.hidden_size // self.sizes.num_heads
        return text_table(text.shape[1], head_size, self.sizes.text_rope_theta).to(text.device)

    def _patch_tokens(
        self, image: torch.Tensor, time: torch.Tensor, conditioning: Conditioning, num_blocks: int
    ) -> Evaluation:
        """The transformer over patches: [B, L, hidden_size] in the compute dtype."""
        dtype, chunk = self.compute_dtype, conditioning.chunk_tokens
        x = self.s_embedder(image)
        y = conditioning.text.clone()  # the blocks write into it
        modulation = F.silu(time).to(dtype)
        for index, block in enumerate(self.patch_blocks):
            self._inject(x, index, conditioning)
            block(
                x,
                y,
                modulation,
                (conditioning.patch_table, conditioning.text_table),
                chunk=chunk,
                is_last=index + 1 == len(self.patch_blocks),
            )
            yield (index + 1) / num_blocks
        condition = x.new_empty(x.shape, dtype=dtype)
        for rows in token_chunks(x.shape[1], chunk):
            tokens = F.silu(time + x[:, rows])
            condition[:, rows] = self._inject_pixels(tokens, rows, conditioning)
        return condition

    def _inject(self, x: torch.Tensor, index: int, conditioning: Conditioning) -> None:
        """Add to the image tokens [B, L, hidden_size] before patch block `index`, in place."""

    def _inject_pixels(
        self, tokens: torch.Tensor, rows: slice, conditioning: Conditioning
    ) -> torch.Tensor:
        """What the pixel blocks get of a run of patch tokens, [B, n, hidden_size]."""
        return tokens

    def _to_image(self, pixels: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """[B, L, patch_px ** 2, pixel_size] -> [B, 3, H, W]."""
        side = self.sizes.patch_px
        grid = (conditioning.height // side, conditioning.width // side)
        parts = [
            self.final_layer(pixels[:, rows])
            for rows in token_chunks(pixels.shape[1], conditioning.chunk_tokens)
        ]
        velocity = torch.cat(parts, dim=1).unflatten(2, (side, side)).unflatten(1, grid)
        return velocity.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)

    def _check_image(self, image: torch.Tensor, conditioning: Conditioning) -> None:
        batch = conditioning.text.shape[0]
        expected = (batch, self.sizes.image_channels, conditioning.height, conditioning.width)
        if tuple(image.shape) != expected:
            raise ShapeMismatch(
                f"the conditioning is for {expected}, the image is {tuple(image.shape)}"
            )


class PixelDit(Backbone):
    """The text-to-image network: a backbone without a latent."""

    @torch.no_grad()
    def prepare(
        self,
        caption_embeddings: torch.Tensor,
        height: int,
        width: int,
        *,
        chunk_tokens: int | None = None,
    ) -> Conditioning:
        """What all steps share.

        Args:
            caption_embeddings: [B, N, caption_size] float; N = 300 as trained.
            height: image height in pixels, a multiple of the patch.
            width: image width in pixels, a multiple of the patch.
            chunk_tokens: tokens that pass through the wide layers at once; None = what suits the
                device.
        Raises:
            ShapeMismatch: a size does not fit.
        """
        return self._prepare_body(caption_embeddings, height, width, chunk_tokens)

    def forward(
        self, image: torch.Tensor, timestep: torch.Tensor, caption_embeddings: torch.Tensor
    ) -> torch.Tensor:
        """`prepare` and `velocity` in one: [B, 3, H, W] float32."""
        conditioning = self.prepare(caption_embeddings, image.shape[-2], image.shape[-1])
        return self.velocity(image, timestep, conditioning)
