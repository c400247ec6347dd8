# SPDX-License-Identifier: Apache-2.0
"""The network of the built-in engine: a small convolutional 4x upscaler, and its streaming form.

All work happens at the resolution of the input; one pixel shuffle at the end makes the detail that
is added to a bicubic enlargement. There is no global operation: an output pixel depends on nothing
further away than `receptive_px`. `CompactStream` therefore computes a picture in bands of rows that
are handed from layer to layer, with nothing computed twice and the same result as in one piece.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

UPSCALE = 4
"""Output pixels per input pixel and axis."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around one ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to the same shape."""
        return x + self.conv2(functional.relu(self.conv1(x), inplace=True))


class CompactNet(nn.Module):
    """Blind 4x super-resolution of RGB with one dial for how much damage to assume.

    Args:
        channels: width of the trunk.
        num_blocks: residual blocks in the trunk.
    """

    def __init__(self, channels: int = 64, num_blocks: int = 20) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, channels, 3, padding=1)
        self.trunk = nn.ModuleList(ResidualBlock(channels) for _ in range(num_blocks))
        self.fuse = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 3 * UPSCALE**2, 3, padding=1)

    @property
    def receptive_px(self) -> int:
        """Input pixels that an output pixel can see in each direction."""
        return 2 * len(self.trunk) + 3

    def forward(self, image: Tensor, repair: Tensor) -> Tensor:
        """Upscale a batch in one piece.

        Args:
            image: [B, 3, h, w] in [-1, 1].
            repair: [B] in [0, 1]; 0 trusts the input, 1 assumes heavy damage.
        Returns:
            [B, 3, 4h, 4w], not clamped.
        """
        shallow = self.head(with_repair(image, repair))
        x = shallow
        for block in self.trunk:
            x = block(x)
        detail = functional.pixel_shuffle(self.tail(self.fuse(x) + shallow), UPSCALE)
        return enlarge(image) + detail.to(image.dtype)


def with_repair(image: Tensor, repair: Tensor) -> Tensor:
    """Append the dial [B] to [B, 3, h, w] as a fourth, constant channel."""
    plane = repair.to(image.dtype).view(-1, 1, 1, 1).expand(-1, 1, *image.shape[-2:])
    return torch.cat([image, plane], dim=1)


def enlarge(image: Tensor) -> Tensor:
    """Bicubic 4x enlargement of [B, 3, h, w], the base that the network adds detail to."""
    return functional.interpolate(image, scale_factor=UPSCALE, mode="bicubic", align_corners=False)


class CompactStream:
    """Runs the network over one picture, a band of rows after the other, exactly.

    Every layer keeps the last rows that its successor still needs, so rows come out `receptive_px`
    later than they go in. A stream serves one picture and is then spent.

    Args:
        net: the network, in the device and dtype to compute in.
    """

    def __init__(self, net: CompactNet) -> None:
        self._head = _Rows(net.head)
        self._blocks = [_BlockRows(cast(ResidualBlock, block)) for block in net.trunk]
        self._fuse = _Rows(net.fuse)
        self._tail = _Rows(net.tail)
        self._shallow = _Delay()

    def push(self, rows: Tensor, *, is_last: bool) -> Tensor:
        """Take the next rows and return the detail of those that are now complete.

        Args:
            rows: [1, 4, n, w], the output of `with_repair`; n >= 1.
            is_last: no rows follow; all that is still held comes out.
        Returns:
            [1, 3, 4m, 4w] with m >= 0, to be added to the same rows of `enlarge`.
        """
        shallow = self._head.push(rows, is_last)
        x = shallow
        for block in self._blocks:
            x = block.push(x, is_last)
        x = self._shallow.add(shallow, self._fuse.push(x, is_last))
        return functional.pixel_shuffle(self._tail.push(x, is_last), UPSCALE)


class _Rows:
    """A 3x3 convolution over rows that arrive in bands; zeros lie above and below the picture."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self._conv = conv
        self._held: Tensor | None = None

    def push(self, rows: Tensor, is_last: bool) -> Tensor:
        if self._held is None:
            self._held = rows.new_zeros(1, rows.shape[1], 1, rows.shape[3])
        parts = [self._held, rows]
        if is_last:
            parts.append(rows.new_zeros(1, rows.shape[1], 1, rows.shape[3]))
        window = torch.cat(parts, dim=2)
        if window.shape[2] < 3:
            self._held = window
            return window.new_zeros(1, self._conv.out_channels, 0, window.shape[3])
        self._held = window[:, :, -2:].clone(memory_format=torch.channels_last)
        return functional.conv2d(window, self._conv.weight, self._conv.bias, padding=(0, 1))


class _Delay:
    """Holds rows back until their sum with slower rows can be made."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def add(self, early: Tensor, late: Tensor) -> Tensor:
        held = early if self._held is None else torch.cat([self._held, early], dim=2)
        num_rows = late.shape[2]
        self._held = held[:, :, num_rows:].clone(memory_format=torch.channels_last)
        return late.add_(held[:, :, :num_rows])


class _BlockRows:
    """`ResidualBlock` over rows that arrive in bands."""

    def __init__(self, block: ResidualBlock) -> None:
        self._conv1 = _Rows(block.conv1)
        self._conv2 = _Rows(block.conv2)
        self._skip = _Delay()

    def push(self, rows: Tensor, is_last: bool) -> Tensor:
        inner = functional.relu(self._conv1.push(rows, is_last), inplace=True)
        return self._skip.add(rows, self._conv2.push(inner, is_last))
