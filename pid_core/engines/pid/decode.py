# SPDX-License-Identifier: Apache-2.0
"""Latent -> picture: one sampler over one field, whole or in windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from pid_core.decoder.field import BlendedField, Evaluate, drive
from pid_core.decoder.windows import Window, read, windows
from pid_core.engines.base import Step
from pid_core.generators import each
from pid_core.inspect.generations import TEACHER_GUIDANCE, TEACHER_STEPS, Variant
from pid_core.networks.pid_net import Conditioning, PidNet
from pid_core.networks.pixeldit import Evaluation
from pid_core.plan.decode import DecodeLayout
from pid_core.samplers.dpm_solver import sample_dpm_solver
from pid_core.samplers.guidance import steered
from pid_core.samplers.noise import NoiseStream, pixel_stream
from pid_core.samplers.schedule import dynamic_shift, flow_timesteps, student_timesteps
from pid_core.samplers.step import SamplerStep, Velocity
from pid_core.samplers.student import sample_student

PREVIEW_PX = 256
"""Longest side of a preview."""
_STATE_BYTES = 1 << 30
"""State, noise and velocity of larger pictures lie in the host's memory."""
_STATE_COPIES = 5
_KEPT_BYTES = 2 << 30
"""What windows know of their latents is kept for all steps up to this size, else made again."""
_SAVING_CHUNK = 1024
"""Tokens in one run where memory is short."""


@dataclass(frozen=True)
class Job:
    """What is decoded, and how."""

    latent: torch.Tensor
    """[1, C, h, w] float32, of the whole padded picture, noised to `sigma`."""
    sigma: float
    """Noise in the latent."""
    captions: list[torch.Tensor]
    """[1, 300, width] float32 each: the prompt, and for undistilled weights the negative one."""
    layout: DecodeLayout
    """The windows."""
    downsample: int
    """Source pixels per latent cell."""
    seed: int
    """Of the pixel noise."""
    steps: int
    """Of a distilled network."""
    saves_memory: bool
    """Run fewer tokens at once than is fastest."""


class Decoder:
    """Decodes with one network.

    Args:
        net: the network.
        variant: what it was trained on.
        is_distilled: a student of four steps, or a teacher with guidance.
    """

    def __init__(self, net: PidNet, variant: Variant, is_distilled: bool) -> None:
        self._net, self._variant, self._is_distilled = net, variant, is_distilled

    @torch.no_grad()
    def run(self, job: Job) -> Iterator[Step]:
        """Decode, one yield for each block, window and step; the last one carries the padded
        picture."""
        scale, device = self._net.sizes.upscale, job.latent.device
        conditions = _Conditions(self._net, job)
        field = BlendedField(
            job.layout, scale, lambda index: self._evaluate(conditions, index), device
        )
        height, width = field.shape[-2:]
        is_large = height * width * 3 * 4 * _STATE_COPIES > _STATE_BYTES
        home = torch.device("cpu") if is_large else device
        stream = pixel_stream(job.seed)
        noise = stream.draw(field.shape, home)
        timesteps = self._timesteps(job)
        preview: torch.Tensor | None = None
        for progress in drive(
            field, noise, timesteps, lambda v: self._sampler(v, noise, timesteps, stream)
        ):
            sampled, image = progress.sampled, None
            if sampled is not None:
                preview = _preview(sampled.x0)
                image = sampled.state if progress.step == progress.steps else None
            elif len(field) > 1:
                yield Step("tile", progress.fraction, progress.window, len(field), preview)
                continue
            yield Step("step", progress.fraction, progress.step, progress.steps, preview, image)

    def _evaluate(self, conditions: _Conditions, index: int) -> Evaluate:
        prompted = self._net.evaluator(conditions.of(index))
        if self._is_distilled:
            return prompted
        negative = self._net.evaluator(conditions.negative(index))

        def both(x: torch.Tensor, t: float) -> Evaluation:
            """One after the other, which holds the activations of one of them at a time."""
            base = yield from each(negative(x, t), lambda done: done / 2)
            wanted = yield from each(prompted(x, t), lambda done: 0.5 + done / 2)
            return steered(base, wanted, TEACHER_GUIDANCE)

        return both

    def _timesteps(self, job: Job) -> tuple[float, ...]:
        if self._is_distilled:
            return student_timesteps(job.steps)
        scale, shift = self._net.sizes.upscale, self._variant.shift
        if self._variant.dynamic_shift is not None:
            # by the window, for that is the image that the network sees
            height, width = job.layout.y.window_px * scale, job.layout.x.window_px * scale
            shift = dynamic_shift(height, width, *self._variant.dynamic_shift)
        return flow_timesteps(TEACHER_STEPS, shift)

    def _sampler(
        self,
        velocity: Velocity,
        noise: torch.Tensor,
        timesteps: tuple[float, ...],
        stream: NoiseStream,
    ) -> Iterator[SamplerStep]:
        if not self._is_distilled:
            return sample_dpm_solver(velocity, noise, timesteps)
        return sample_student(
            velocity,
            noise,
            timesteps,
            renoise=lambda: stream.draw(noise.shape, noise.device),
        )


class _Conditions:
    """What the network knows of every window; equal tables are held once."""

    def __init__(self, net: PidNet, job: Job) -> None:
        self._net, self._job = net, job
        self._windows = [
            Window(*(value // job.downsample for value in (w.x, w.y, w.width, w.height)))
            for w in windows(job.layout)
        ]
        sizes = net.sizes
        tokens = job.layout.window_area_px * sizes.upscale**2 // sizes.patch_pixels
        kept = tokens * sizes.latent_hidden_size * net.compute_dtype.itemsize * len(self._windows)
        self._keeps = kept <= _KEPT_BYTES
        self._made: dict[int, Conditioning] = {}
        self._first: Conditioning | None = None

    def of(self, index: int) -> Conditioning:
        """A window's conditioning under the prompt."""
        if index in self._made:
            return self._made[index]
        made = self._prepared(self._windows[index])
        if self._keeps:
            self._made[index] = made
        return made

    def negative(self, index: int) -> Conditioning:
        """The same under the negative prompt."""
        return self._net.with_caption(self.of(index), self._job.captions[1])

    def _prepared(self, window: Window) -> Conditioning:
        job, sizes = self._job, self._net.sizes
        made = self._net.prepare(
            job.captions[0],
            read(job.latent, window),
            torch.tensor([job.sigma], device=job.latent.device),
            window.height * sizes.output_px_per_latent,
            window.width * sizes.output_px_per_latent,
            chunk_tokens=_SAVING_CHUNK if job.saves_memory else None,
        )
        if self._first is None:  # all windows have one size, so all but the latent is shared
            self._first = replace(made, latent=None)
        return replace(self._first, latent=made.latent)


def _preview(image: torch.Tensor) -> torch.Tensor:
    """[1, 3, H, W] -> [3, h, w] uint8 on the CPU."""
    factor = min(1.0, PREVIEW_PX / max(image.shape[-2:]))
    size = [max(1, round(side * factor)) for side in image.shape[-2:]]
    small = F.interpolate(image, size=size, mode="area")
    return ((small[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
