# SPDX-License-Identifier: Apache-2.0
"""PidNet: PixelDiT with a branch that reads the latent; the network of every PiD checkpoint."""

from __future__ import annotations

from dataclasses import replace

import torch

from pid_core.errors import ShapeMismatch
from pid_core.networks.latent_branch import LatentBranch, make_gate
from pid_core.networks.pixeldit import Backbone, Conditioning
from pid_core.networks.sizes import PidNetSizes

__all__ = ["TRAINING_ONLY_PREFIXES", "Conditioning", "PidNet", "PidNetSizes"]

TRAINING_ONLY_PREFIXES = ("lq_proj.lq_aux_rgb_head.",)
"""Tensor names that a network under training has beside ours; they never influence the image."""


class PidNet(Backbone):
    """Decodes a latent into an image by predicting the velocity of a noisy one.

    Construct it on the meta device and load with `load_state_dict(tensors, assign=True)`: the names
    are the official ones, exactly. The dtype of the weights is the dtype of the arithmetic; no
    autocast is needed or wanted.

    Source: nv-tlabs/PiD 2c8814c, networks/pid_net.py::PidNet
    """

    sizes: PidNetSizes

    def __init__(self, sizes: PidNetSizes) -> None:
        super().__init__(sizes)
        self.lq_proj = LatentBranch(sizes)
        if sizes.has_pixel_injection:
            self.pit_lq_gate = make_gate(sizes)

    @torch.no_grad()
    def prepare(
        self,
        caption_embeddings: torch.Tensor,
        latent: torch.Tensor | None,
        sigma: torch.Tensor | None,
        height: int,
        width: int,
        *,
        chunk_tokens: int | None = None,
    ) -> Conditioning:
        """What all steps share.

        Args:
            caption_embeddings: [B, N, caption_size] float; N = 300 as trained.
            latent: [B, latent_channels, h, w] float, normalised for the backbone; None = text
                alone.
            sigma: [B] float in [0, 1], noise left in `latent`.
            height: image height in pixels, a multiple of the patch; h * sizes.output_px_per_latent
                as trained.
            width: image width in pixels, likewise.
            chunk_tokens: tokens that pass through the wide layers at once; None = what suits the
                device.
        Raises:
            ShapeMismatch: a size does not fit.
        """
        body = self._prepare_body(caption_embeddings, height, width, chunk_tokens)
        if latent is None:
            return body
        batch = caption_embeddings.shape[0]
        if sigma is None or sigma.shape != (batch,) or latent.shape[0] != batch:
            given = None if sigma is None else list(sigma.shape)
            raise ShapeMismatch(
                f"{batch} captions need {batch} latents and sigma [{batch}], "
                f"not {latent.shape[0]} latents and sigma {given}"
            )
        patch_px = self.sizes.patch_px
        features = self.lq_proj.prepare(latent, sigma, height // patch_px, width // patch_px)
        return replace(body, latent=features)

    def forward(
        self,
        image: torch.Tensor,
        timestep: torch.Tensor,
        caption_embeddings: torch.Tensor,
        latent: torch.Tensor | None,
        sigma: torch.Tensor | None,
    ) -> torch.Tensor:
        """`prepare` and `velocity` in one: [B, 3, H, W] float32."""
        height, width = image.shape[-2:]
        conditioning = self.prepare(caption_embeddings, latent, sigma, height, width)
        return self.velocity(image, timestep, conditioning)

    def _inject(self, x: torch.Tensor, index: int, conditioning: Conditioning) -> None:
        injection, remainder = divmod(index, self.sizes.injection_interval)
        if conditioning.latent is not None and not remainder:
            self.lq_proj.inject(x, conditioning.latent, injection, conditioning.chunk_tokens)

    def _inject_pixels(
        self, tokens: torch.Tensor, rows: slice, conditioning: Conditioning
    ) -> torch.Tensor:
        features = conditioning.latent
        if features is None or not self.sizes.has_pixel_injection:
            return tokens
        feature = self.lq_proj.feature(features, -1, rows)
        return tokens + self.pit_lq_gate(tokens, feature, features.sigma)
