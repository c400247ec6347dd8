# SPDX-License-Identifier: Apache-2.0
"""PidEngine: picture -> latent -> picture of four times the size. Runs on the worker's main
thread."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import torch

from pid_core.checkpoints.load import load_pid
from pid_core.checkpoints.quantised_linear import native_formats
from pid_core.decoder.padding import from_seamless_size, padded, to_seamless_size, wrapped
from pid_core.decoder.windows import Window, read
from pid_core.engines.base import EngineInfo, EngineOptions, Step
from pid_core.engines.pid.decode import Decoder, Job
from pid_core.engines.pid.dials import NEGATIVE_PROMPT, sigma_of
from pid_core.errors import InvalidOptions, NotEnoughMemory, ShapeMismatch
from pid_core.generators import each
from pid_core.inspect import PidFiles, backbone
from pid_core.inspect.fingerprint import fingerprint
from pid_core.inspect.generations import variant
from pid_core.latents.encoder import CONTEXT_PX
from pid_core.latents.vae import load_encoder
from pid_core.networks.packed import PackedLinear, pack_for_cpu
from pid_core.networks.pid_net import PidNet
from pid_core.plan import EnginePlan
from pid_core.plan.decode import DecodeLayout, layout_of, window_limits
from pid_core.samplers.latent_noise import add_noise
from pid_core.samplers.noise import latent_stream
from pid_core.text import Captions

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_LICENCE = "NSCLv1 (non-commercial)"
_ENCODED, _PROMPTED = 0.03, 0.05
"""Parts of the engine's work that are done after encoding, and after the caption."""


class PidEngine:
    """Decodes with one PiD network.

    Args:
        files: as `choose` gave them.
        device: where torch works.
        dtype: arithmetic of the network: `float32` or `bfloat16`.
        cache_folder: for caption embeddings and safetensors twins; None = nothing is
            kept, and every prompt is encoded again.
    """

    def __init__(
        self, files: PidFiles, *, device: str, dtype: str, cache_folder: Path | None
    ) -> None:
        if dtype not in _DTYPES:
            raise InvalidOptions(f"dtype is {dtype}, expected one of {', '.join(_DTYPES)}.")
        self._files, self._device, self._dtype = files, torch.device(device), dtype
        self._cache = cache_folder
        found = files.description
        self._variant, self._backbone = variant(found.variant), backbone(found.family)
        self._net: PidNet = load_pid(
            files.weights,
            found,
            device=self._device,
            dtype=_DTYPES[dtype],
            cache_folder=cache_folder / "converted" if cache_folder else None,
        )
        if self._device.type == "cpu":
            pack_for_cpu(self._net)
        # the official code encodes in bfloat16; where that is no faster, float32 costs nothing
        vae_dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._encoder = load_encoder(files.vae, found.family, device=self._device, dtype=vae_dtype)
        self._info = EngineInfo(
            name="pid",
            weights=f"{found.family}-{found.variant}-{fingerprint([files.weights])[:8]}",
            licence=_LICENCE,
            scale=self._backbone.upscale,
            native_products=native_formats(self._net),
        )

    @property
    def info(self) -> EngineInfo:
        """Name, weights and licence for the record."""
        return self._info

    def resident_bytes(self) -> int:
        """Memory that network and encoder hold."""
        tensors = [*self._net.parameters(), *self._net.buffers()]
        own = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        packed = [module for module in self._net.modules() if isinstance(module, PackedLinear)]
        own += sum(module.packed.numel() * module.packed.element_size() for module in packed)
        return own + self._encoder.resident_bytes()

    def run(self, image: torch.Tensor, options: EngineOptions, plan: EnginePlan) -> Iterator[Step]:
        """Decode, one yield per encoded tile, block, window and step; closing cancels.

        Args:
            image: [1, 3, H, W] float32 in [-1, 1], sRGB-encoded.
            options: all dials count; `steps` only for distilled weights.
            plan: made for this H and W.
        Yields:
            Step; the last one carries the image, [1, 3, 4H, 4W] float32 in [-1, 1], on the CPU.
        Raises:
            ShapeMismatch: the image is not what the plan was made for.
            InvalidOptions: a dial is out of range.
            CheckpointMissing: the prompt is new and there is no caption encoder.
            NotEnoughMemory: torch says that it does not fit.
        """
        if tuple(image.shape) != (1, 3, plan.height_px, plan.width_px):
            raise ShapeMismatch(
                f"The image is {list(image.shape)}, the plan [1, 3, {plan.height_px}, "
                f"{plan.width_px}]."
            )
        sigma = sigma_of(options)
        try:
            yield from self._run(image.float(), options, plan, sigma)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise NotEnoughMemory(
                    f"{plan.width_px} x {plan.height_px} px do not fit: {error}"
                ) from error
            raise

    def layout(self, plan: EnginePlan) -> DecodeLayout:
        """The windows that a plan leads to with these weights."""
        limits = window_limits(self._variant, self._backbone)
        return layout_of(
            plan.width_px,
            plan.height_px,
            limits,
            tile_px=plan.tile_px,
            overlap_px=plan.overlap_px,
            wrap=plan.wrap,
        )

    def _run(
        self, image: torch.Tensor, options: EngineOptions, plan: EnginePlan, sigma: float
    ) -> Iterator[Step]:
        layout, scale = self.layout(plan), self._backbone.upscale
        fitted = padded(to_seamless_size(image, self._backbone.downsample, plan.wrap), layout)
        latent = yield from self._encode(fitted.image, plan.wrap)
        if sigma > 0:
            noise = latent_stream(options.seed).draw(latent.shape, latent.device)
            latent = add_noise(latent, noise, sigma, self._backbone.noise_frame)
        yield Step("prompt", _ENCODED)
        captions = self._captions(options)
        yield Step("prompt", _PROMPTED)
        decoder = Decoder(self._net, self._variant, self._files.description.is_distilled)
        job = Job(
            latent=latent,
            sigma=sigma,
            captions=[caption.to(self._device) for caption in captions],
            layout=layout,
            downsample=self._backbone.downsample,
            seed=options.seed,
            steps=options.steps,
            # below the smallest trained size only shorter runs of tokens save memory
            saves_memory=plan.tile_px**2 * scale**2 < self._variant.sizes.min_area_px,
        )
        decoded: torch.Tensor | None = None
        for step in decoder.run(job):
            decoded = step.image
            fraction = _PROMPTED + (1 - _PROMPTED) * step.fraction
            if decoded is None:
                yield Step(step.stage, fraction, step.index, step.total, step.preview)
            else:
                x, y = fitted.x * scale, fitted.y * scale
                width, height = _unpadded(plan, layout, scale)
                cut = read(decoded, Window(x, y, width, height)).cpu()
                answer = from_seamless_size(
                    cut, plan.width_px * scale, plan.height_px * scale, plan.wrap
                )
                answer = answer.clamp(-1, 1).contiguous()
                yield Step(step.stage, 1.0, step.index, step.total, step.preview, answer)

    def _encode(self, image: torch.Tensor, wrap: str) -> Generator[Step, None, torch.Tensor]:
        """Latent of the padded picture."""
        granule = self._backbone.downsample
        border_x = CONTEXT_PX if wrap in ("x", "both") else 0
        border_y = CONTEXT_PX if wrap in ("y", "both") else 0
        latent = yield from each(
            self._encoder.encode(wrapped(image, border_x, border_y)),
            lambda part: Step("encode", _ENCODED * part[0] / part[1], *part),
        )
        yield Step("encode", _ENCODED)
        rows, columns = border_y // granule, border_x // granule
        height, width = image.shape[-2] // granule, image.shape[-1] // granule
        return read(latent, Window(columns, rows, width, height)).contiguous()

    def _captions(self, options: EngineOptions) -> list[torch.Tensor]:
        """Embeddings of the prompt, and of the negative one for undistilled weights."""
        prompts = [options.prompt]
        if not self._files.description.is_distilled:
            prompts.append(options.negative_prompt or NEGATIVE_PROMPT)
        captions = Captions(
            self._files.text_encoder,
            self._cache / "captions" if self._cache else None,
            self._net.sizes.caption_size,
            self._device,
        )
        return captions.embeddings(*prompts)


def _unpadded(plan: EnginePlan, layout: DecodeLayout, scale: int) -> tuple[int, int]:
    """Width and height of the picture itself inside the decoded layout."""
    width = layout.x.length_px if layout.x.wraps else plan.width_px
    height = layout.y.length_px if layout.y.wraps else plan.height_px
    return width * scale, height * scale
