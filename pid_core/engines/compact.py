# SPDX-License-Identifier: Apache-2.0
"""The built-in engine: `CompactNet` with the weights that lie in this package.

A picture streams through the network in bands of rows, one yield for each, so that memory depends
on the picture's width alone and a cancel is seen within a fraction of a second. Pictures wider than
the plan's tile are cut into columns with a halo as wide as the network can see. Either way the
result is that of one piece. Runs on the worker's main thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional

from pid_core.engines.base import EngineInfo, EngineOptions, Step
from pid_core.errors import (
    CheckpointMismatch,
    CheckpointMissing,
    InvalidOptions,
    NotEnoughMemory,
    ShapeMismatch,
)
from pid_core.networks.compact import UPSCALE, CompactNet, CompactStream, enlarge, with_repair
from pid_core.plan import EnginePlan
from pid_core.plan.tiles import Rect, tile_cores, with_halo

BUILT_IN_WEIGHTS = Path(__file__).parent.parent / "weights" / "compact.safetensors"
PREVIEW_PX = 256
"""Longest side of a preview."""
BAND_PX = {"cpu": 12_288, "cuda": 1_048_576}
"""Input pixels in one band; on a CPU the band of every layer then stays in the cache."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def preferred_dtype(device: str) -> str:
    """Name the arithmetic that is fastest on a device without a visible difference."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"
    return "float32"


def load_network(path: Path) -> tuple[CompactNet, dict[str, str]]:
    """Build the network that a weights file describes and fill it, exactly.

    Args:
        path: safetensors file; the sizes are read from its tensors.
    Returns:
        The network in float32 on the CPU, and the file's metadata.
    Raises:
        CheckpointMissing: there is no such file.
        CheckpointMismatch: it is not one of ours, or a weight is missing, extra or misshaped.
    """
    if not path.is_file():
        raise CheckpointMissing(f"no weights at {path}", hint="reinstall pid-layers")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointMismatch(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get("architecture") != "compact":
        found = metadata.get("architecture", "nothing")
        raise CheckpointMismatch(f"{path} says architecture {found}, expected compact")
    num_blocks = len({name.split(".")[1] for name in tensors if name.startswith("trunk.")})
    head = tensors.get("head.weight")
    net = CompactNet(head.shape[0] if head is not None and head.ndim == 4 else 1, num_blocks)
    expected = net.state_dict()
    wrong = [f"missing {name}" for name in expected if name not in tensors]
    wrong += [f"extra {name}" for name in tensors if name not in expected]
    wrong += [
        f"{name} is {list(tensors[name].shape)}, expected {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if wrong:
        raise CheckpointMismatch(f"{path}: {len(wrong)} wrong weights: {'; '.join(wrong[:5])}")
    net.load_state_dict({name: value.float() for name, value in tensors.items()})
    return net.eval().requires_grad_(False), metadata


class CompactEngine:
    """Upscales 4x with the small network that ships with the program.

    Args:
        path: weights file; the built-in one by default.
        device: torch device to compute on.
    """

    def __init__(self, path: Path = BUILT_IN_WEIGHTS, device: str = "cpu") -> None:
        net, metadata = load_network(path)
        self._device = torch.device(device)
        self._nets = {"float32": _channels_last(net.to(self._device))}
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        self._info = EngineInfo(
            name="compact",
            weights=f"compact-{metadata.get('version', '0')}-{digest}",
            licence=metadata.get("licence", "unknown"),
            scale=UPSCALE,
        )

    @property
    def info(self) -> EngineInfo:
        """Name, weights and licence for the record."""
        return self._info

    @property
    def halo_px(self) -> int:
        """Input pixels around a tile that make it exact."""
        return self._nets["float32"].receptive_px

    def resident_bytes(self) -> int:
        """Memory that the loaded weights hold."""
        weights = [weight for net in self._nets.values() for weight in net.parameters()]
        return sum(weight.numel() * weight.element_size() for weight in weights)

    def run(self, image: Tensor, options: EngineOptions, plan: EnginePlan) -> Iterator[Step]:
        """Upscale, one yield per band of rows; closing the generator cancels.

        Args:
            image: [1, 3, H, W] float32 in [-1, 1].
            options: `repair` is used.
            plan: made for this H and W; `tile_px` is the widest column, `dtype` and `wrap` count.
        Yields:
            Step; the last one carries the image, [1, 3, 4H, 4W] float32 in [-1, 1], on the CPU.
        Raises:
            ShapeMismatch: the image is not what the plan was made for.
            InvalidOptions: a dial or the plan's arithmetic is out of range.
            NotEnoughMemory: torch says that it does not fit.
        """
        height, width = plan.height_px, plan.width_px
        if tuple(image.shape) != (1, 3, height, width):
            raise ShapeMismatch(f"image is {list(image.shape)}, plan is [1, 3, {height}, {width}]")
        if not 0 <= options.repair <= 1:
            raise InvalidOptions(f"repair is {options.repair}, expected 0 to 1")
        if plan.dtype not in _DTYPES:
            raise InvalidOptions(f"dtype is {plan.dtype}, expected one of {', '.join(_DTYPES)}")
        halo = self.halo_px
        pad_x = halo if plan.wrap in ("x", "both") else 0
        pad_y = halo if plan.wrap in ("y", "both") else 0
        try:
            image = image.to("cpu", torch.float32)
            wrapped = _wrap(image, pad_x, pad_y)
            output = torch.empty(1, 3, height * UPSCALE, width * UPSCALE)
            preview = _Preview(image)
            columns = tile_cores(width, 1, plan.tile_px)
            band = max(8, min(height, BAND_PX.get(self._device.type, 12_288) // width))
            starts = list(range(0, wrapped.shape[2], band))
            total = len(columns) * len(starts)
            done = 0
            for core in columns:
                inner = Rect(core.x + pad_x, 0, core.width, 1)
                outer = with_halo(inner, halo, wrapped.shape[3], 1)
                column = _Column(self._net(plan.dtype), self._device, options.repair)
                part = wrapped[:, :, :, outer.x : outer.right]
                crop = (inner.x - outer.x) * UPSCALE
                for start in starts:
                    rows = column.push(part, start, band)
                    rows = rows[:, :, :, crop : crop + core.width * UPSCALE]
                    top = column.num_done * UPSCALE - rows.shape[2] - pad_y * UPSCALE
                    first, last = max(0, top), min(output.shape[2], top + rows.shape[2])
                    if last > first:
                        span = slice(core.x * UPSCALE, core.right * UPSCALE)
                        output[:, :, first:last, span] = rows[:, :, first - top : last - top]
                        preview.paste(output, first, last, span)
                    done += 1
                    if done < total:
                        yield Step("tile", done / total, done, total, preview.pixels)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise NotEnoughMemory(f"{width}x{height} px does not fit: {error}") from error
            raise
        yield Step("tile", 1.0, total, total, preview.pixels, output)

    def _net(self, dtype: str) -> CompactNet:
        if dtype not in self._nets:
            net = CompactNet(self._nets["float32"].head.out_channels, (self.halo_px - 3) // 2)
            net.load_state_dict(self._nets["float32"].state_dict())
            net = _channels_last(net.to(self._device, _DTYPES[dtype]))
            self._nets[dtype] = net.eval().requires_grad_(False)
        return self._nets[dtype]


class _Column:
    """One column of the picture on its way through the network, top to bottom."""

    def __init__(self, net: CompactNet, device: torch.device, repair: float) -> None:
        self._stream = CompactStream(net)
        self._dtype = net.head.weight.dtype
        self._device = device
        self._repair = torch.tensor([repair])
        self.num_done = 0
        """Input rows whose output has been returned."""

    @torch.inference_mode()
    def push(self, part: Tensor, start: int, num_rows: int) -> Tensor:
        """Feed rows [start, start + num_rows) of [1, 3, H, w]; return [1, 3, 4m, 4w] float32."""
        height = part.shape[2]
        rows = with_repair(part[:, :, start : start + num_rows], self._repair)
        rows = rows.to(self._device, self._dtype, memory_format=torch.channels_last)
        is_last = start + num_rows >= height
        detail = self._stream.push(rows, is_last=is_last).to("cpu", torch.float32)
        first, last = self.num_done, self.num_done + detail.shape[2] // UPSCALE
        self.num_done = last
        if last == first:
            return detail
        above = max(0, first - 2)  # bicubic reads two rows beyond its own
        base = enlarge(part[:, :, above : min(height, last + 2)])
        base = base[:, :, (first - above) * UPSCALE : (last - above) * UPSCALE]
        return detail.add_(base).clamp_(-1, 1)


class _Preview:
    """A small picture of the state so far: the input, with finished parts replaced."""

    def __init__(self, image: Tensor) -> None:
        height, width = image.shape[2:]
        factor = min(1.0, PREVIEW_PX / max(height, width))
        self._size = (max(1, round(height * factor)), max(1, round(width * factor)))
        self.pixels = _to_bytes(functional.adaptive_avg_pool2d(image, self._size))
        """[3, h, w] uint8."""

    def paste(self, output: Tensor, first: int, last: int, span: slice) -> None:
        """Refresh the rows [first, last) and columns `span` of the output, [1, 3, H, W]."""
        (small_h, small_w), (height, width) = self._size, output.shape[2:]
        top, bottom = first * small_h // height, last * small_h // height
        left, right = span.start * small_w // width, span.stop * small_w // width
        if bottom == top or right == left:
            return
        rows = slice(top * height // small_h, -(-bottom * height // small_h))
        part = functional.adaptive_avg_pool2d(
            output[:, :, rows, span], (bottom - top, right - left)
        )
        self.pixels = self.pixels.clone()  # the one handed out before stays as it was
        self.pixels[:, top:bottom, left:right] = _to_bytes(part)


def _channels_last(net: CompactNet) -> CompactNet:
    """The order that convolutions are fastest in; torch's stubs do not know this argument."""
    return net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _to_bytes(image: Tensor) -> Tensor:
    return image[0].add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _wrap(image: Tensor, pad_x: int, pad_y: int) -> Tensor:
    """Continue [1, 3, H, W] periodically by `pad_x` columns and `pad_y` rows on each side."""
    if pad_x:
        image = image[:, :, :, torch.arange(-pad_x, image.shape[3] + pad_x) % image.shape[3]]
    if pad_y:
        image = image[:, :, torch.arange(-pad_y, image.shape[2] + pad_y) % image.shape[2]]
    return image
