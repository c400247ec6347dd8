# SPDX-License-Identifier: Apache-2.0
"""A host program of lists and dictionaries, with a document in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from pid_client.editor import Placed, Source
from pid_protocol.errors import InvalidImage
from pid_protocol.pixels import PixelFormat, Region


class FakeEditor:
    """A document of RGB layers; every layer is chosen.

    Args:
        sizes: width and height of each layer, topmost first.
        selection: in every layer's pixels.
    """

    def __init__(self, *sizes: tuple[int, int], selection: Region | None = None) -> None:
        self.layers = {f"L{i}": os.urandom(w * h * 3) for i, (w, h) in enumerate(sizes)}
        self._sizes = dict(zip(self.layers, sizes, strict=True))
        self._selection = selection
        self.refusal: InvalidImage | None = None
        self.commit_error: Exception | None = None
        self.committed: tuple[str, list[Placed]] | None = None
        self.num_read = 0

    def sources(self) -> Sequence[Source]:
        if self.refusal:
            raise self.refusal
        return [Source(name, name, PixelFormat(*size)) for name, size in self._sizes.items()]

    def selection(self, source: Source) -> Region | None:
        return self._selection

    def array(self, name: str) -> np.ndarray:
        width, height = self._sizes[name]
        return np.frombuffer(self.layers[name], np.uint8).reshape(height, width, 3)

    def read_pixels(self, source: Source, region: Region) -> Iterator[bytes]:
        self.num_read += 1
        cut = self.array(source.handle)[:, region.x : region.x + region.width]
        for row in range(region.y, region.y + region.height, 7):
            yield cut[row : min(row + 7, region.y + region.height)].tobytes()

    def read_mask(self, source: Source, region: Region) -> bytes:
        return b"\x80" * (region.width * region.height)

    def commit(self, placement: str, results: Sequence[Placed]) -> Iterator[None]:
        yield
        if self.commit_error:
            raise self.commit_error
        self.committed = (placement, list(results))
        yield
