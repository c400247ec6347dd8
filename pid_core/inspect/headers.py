# SPDX-License-Identifier: Apache-2.0
"""What a weights file says about itself: names, shapes and dtypes, without reading a single weight.

Two containers: safetensors (a JSON header) and torch's zip (see `torch_zip`). Torch-free; reads
kilobytes of gigabytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pid_core.errors import CheckpointError, CheckpointMissing

MAX_HEADER_BYTES = 64 << 20
"""Larger headers are refused: the largest real one (a base model with 5,000 tensors) has less than
1 MiB."""

DTYPE_BYTES: Mapping[str, float] = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2,
    "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F4": 0.5,
}  # fmt: skip
"""Bytes of one element, by the safetensors format's own dtype names."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file, unread."""

    dtype: str
    """Name of the dtype as safetensors spells it, such as `BF16`."""
    shape: tuple[int, ...]
    """Its sides; empty for a scalar."""
    begin: int = -1
    """Offset of its first byte in the file; -1 inside a torch zip."""
    end: int = -1
    """Offset behind its last byte; -1 inside a torch zip."""


@dataclass(frozen=True)
class FileHeader:
    """Everything that a weights file says about itself."""

    path: Path
    """The file."""
    container: str
    """`safetensors` or `torch`."""
    tensors: Mapping[str, TensorInfo]
    """By the name in the file."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Free text that safetensors may carry."""

    def read_bytes(self, name: str, limit: int = 1 << 16) -> bytes:
        """Content of a small tensor of a safetensors file.

        Raises:
            CheckpointError: the container has no offsets, or the tensor is larger than `limit`
                bytes.
        """
        info = self.tensors[name]
        if info.begin < 0 or info.end - info.begin > limit:
            raise CheckpointError(f"{self.path.name}: {name} cannot be read as a short text.")
        with self.path.open("rb") as file:
            file.seek(info.begin)
            return file.read(info.end - info.begin)


def read_header(path: Path) -> FileHeader:
    """Read the names, shapes and dtypes of a weights file.

    Raises:
        CheckpointMissing: there is no such file.
        CheckpointError: the file is neither safetensors nor a torch zip of plain tensors, or it is
            damaged.
    """
    from pid_core.inspect.torch_zip import read_torch_zip

    if not path.is_file():
        raise CheckpointMissing(
            f"There is no file {path}.", hint="Check the path, or run `pid models`."
        )
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    if magic == b"PK\x03\x04":
        return FileHeader(path, "torch", read_torch_zip(path))
    return _read_safetensors(path)


def _read_safetensors(path: Path) -> FileHeader:
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointError(
                f"{path.name} is neither safetensors nor a torch zip file.",
                hint="Old torch files (before 1.6) and GGUF are not read; convert them to "
                "safetensors.",
            )
        raw = file.read(length)
    try:
        entries: Any = json.loads(raw)
        metadata = entries.pop("__metadata__", None) or {}
        start = 8 + length
        tensors = {name: _tensor_info(entry, start) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name}: its safetensors header is damaged.") from error
    for name, info in tensors.items():
        _check_extent(path, name, info, size)
    return FileHeader(path, "safetensors", tensors, {str(k): str(v) for k, v in metadata.items()})


def _tensor_info(entry: Any, start: int) -> TensorInfo:
    begin, end = entry["data_offsets"]
    return TensorInfo(
        str(entry["dtype"]), tuple(int(side) for side in entry["shape"]), start + begin, start + end
    )


def _check_extent(path: Path, name: str, info: TensorInfo, file_bytes: int) -> None:
    count = 1
    for side in info.shape:
        if side < 0:
            raise CheckpointError(f"{path.name}: {name} has a negative side.")
        count *= side
    expected = count * DTYPE_BYTES.get(info.dtype, 0)
    if info.end > file_bytes:
        raise CheckpointError(
            f"{path.name} ends after {file_bytes} bytes, but {name} reaches to byte {info.end}.",
            hint="The download was cut short; fetch the file again.",
        )
    if info.dtype in DTYPE_BYTES and info.end - info.begin != expected:
        raise CheckpointError(
            f"{path.name}: {name} is {list(info.shape)} {info.dtype}, but holds "
            f"{info.end - info.begin} bytes."
        )
