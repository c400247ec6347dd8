# SPDX-License-Identifier: Apache-2.0
"""What a host program has to offer: GIMP and Krita implement this once each, tests fake it once.

Every method is called on the host's main thread, and only while the generator of `run` is being
advanced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pid_protocol.pixels import PixelFormat, Region

from .job import Finished


@dataclass(frozen=True)
class Source:
    """One layer that is to be worked on."""

    handle: Any
    """The host's own object; handed back untouched."""
    name: str
    """What the person calls it."""
    image: PixelFormat
    """Size and samples of the whole layer, in the document's own depth and colour space."""
    icc: bytes | None = None
    """The profile's bytes when `image.profile` is `icc`."""


@dataclass(frozen=True)
class Placed:
    """A result and where it belongs."""

    source: Source
    """The layer that it was made from."""
    region: Region | None
    """Part of the source that it stands for, in the layer's pixels; None = all of it."""
    finished: Finished
    """Pixels, format, profile and record."""
    name: str
    """What the new layer or document is to be called."""
    kind: str
    """`upscale` or `enhance`, for the stored settings."""
    options: dict[str, Any]
    """Every row that was used, for the stored settings."""

    @property
    def factors(self) -> tuple[float, float]:
        """Enlargement in x and y."""
        part = self.region or Region(0, 0, self.source.image.width, self.source.image.height)
        made = self.finished.image
        return made.width / part.width, made.height / part.height


class Editor(Protocol):
    """A host program with a document in it."""

    def sources(self) -> Sequence[Source]:
        """The layers that the person chose, topmost first.

        Raises:
            InvalidImage: something chosen cannot be worked on; the message says what and why.
        """
        ...

    def selection(self, source: Source) -> Region | None:
        """Bounds of the selection inside the layer, in the layer's pixels; None = nothing is
        selected.

        Raises:
            InvalidImage: there is a selection, and it lies outside the layer.
        """
        ...

    def read_pixels(self, source: Source, region: Region) -> Iterable[bytes]:
        """The layer's pixels as `source.image` describes them, in strips of whole rows.

        A host that must stay responsive gives many small strips: it gets its turn between two.
        """
        ...

    def read_mask(self, source: Source, region: Region) -> bytes:
        """Coverage of the selection, one byte per pixel of the region, 255 = selected."""
        ...

    def commit(self, placement: str, results: Sequence[Placed]) -> Iterable[None]:
        """Put all results into the document, or none, as one step for undo.

        Args:
            placement: `same-size`, `grow` or `new-image`.
            results: in the order of `sources`.
        Returns:
            Pauses: the host gets its turn at each; the work is done when they end.
        Raises:
            InvalidImage: the document is gone or no longer fits; nothing was changed.
        """
        ...
