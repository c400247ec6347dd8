# SPDX-License-Identifier: Apache-2.0
"""Reading a picture file: the steps that all formats share."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np

from pid_daemon.files import exif, xmp
from pid_daemon.files.formats import sniff
from pid_daemon.files.jpeg import read_jpeg
from pid_daemon.files.picture import Decoded, Metadata, Pixels, SourceImage, format_of
from pid_daemon.files.png import read_png
from pid_daemon.files.tiff import read_tiff
from pid_daemon.files.webp import read_webp
from pid_protocol.errors import InvalidImage
from pid_protocol.limits import MAX_ICC_BYTES

_LOG = logging.getLogger(__name__)
_READERS = {"png": read_png, "jpeg": read_jpeg, "webp": read_webp, "tiff": read_tiff}


def read(path: Path) -> SourceImage:
    """Read a picture file.

    The pixels are turned upright once, and the orientation tag that is carried on says 1: a program
    that ignores the tag and one that follows it show the same.

    Raises:
        InvalidImage: there is no such file, it cannot be read, is no picture, is broken or too
            large; the message is one sentence that names the file.
    """
    data = _bytes_of(path)
    try:
        container = sniff(data[:32])
        with warnings.catch_warnings():
            # decoders warn about odd metadata; what matters of it becomes a notice below
            warnings.simplefilter("ignore")
            decoded = _READERS[container.name](data)
        return _finished(decoded, container.name)
    except InvalidImage as error:
        raise InvalidImage(
            f"{path.name} cannot be used: {_lower(error.message)}", error.hint
        ) from error
    except MemoryError:
        raise InvalidImage(f"{path.name} does not fit into the free memory.") from None
    except Exception as error:  # a decoder on broken data raises whatever it likes
        _LOG.info("decoding %s failed", path, exc_info=True)
        raise InvalidImage(
            f"{path.name} is broken or cut off: {_first_line(error)}.",
            "Open and save it again in a picture editor.",
        ) from error


def _bytes_of(path: Path) -> bytes:
    if path.is_dir():
        raise InvalidImage(f"{path} is a folder, not a picture.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidImage(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidImage(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise InvalidImage(f"{path.name} is empty.")
    return data


def _finished(decoded: Decoded, container: str) -> SourceImage:
    notices = list(decoded.notices)
    block, orientation = decoded.exif, 1
    if block:
        try:
            block, orientation = exif.upright(block)
        except exif.BrokenExif:
            block = b""
            notices.append("The EXIF block is broken and is left out.")
    pixels = np.ascontiguousarray(_turned(decoded.pixels, orientation))
    icc = _usable_profile(decoded.icc, pixels, notices)
    dpi = decoded.dpi
    if dpi is not None:
        dpi = None if min(dpi) <= 0 else (dpi[1], dpi[0]) if orientation >= 5 else dpi
    image_format = format_of(pixels, has_icc=bool(icc))
    image_format.check()
    metadata = Metadata(block, xmp.upright(decoded.xmp), dpi)
    return SourceImage(pixels, image_format, container, icc, metadata, tuple(notices))


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Carry out an EXIF orientation; 5 to 8 swap the sides."""
    if orientation in (5, 7):
        pixels = pixels.swapaxes(0, 1)
        return pixels if orientation == 5 else pixels[::-1, ::-1]
    if orientation in (6, 8):
        return np.rot90(pixels, -1 if orientation == 6 else 1)
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4):
        pixels = pixels[::-1]
    return pixels


def _usable_profile(icc: bytes, pixels: Pixels, notices: list[str]) -> bytes:
    """The profile, unless it is not one or is one for other pixels than these."""
    if not icc:
        return b""
    if len(icc) > MAX_ICC_BYTES or len(icc) < 132 or icc[36:40] != b"acsp":
        notices.append("The colour profile is broken; the picture is taken as sRGB.")
        return b""
    is_gray = pixels.ndim == 2 or pixels.shape[2] == 2
    if icc[16:20] != (b"GRAY" if is_gray else b"RGB "):
        kind = icc[16:20].decode("ascii", "replace").strip()
        notices.append(
            f"The colour profile is for {kind} pixels, which these are not; they are taken as sRGB."
        )
        return b""
    return icc


def _first_line(error: Exception) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0].strip()
    return text.rstrip(".")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
