# SPDX-License-Identifier: Apache-2.0
"""Names, shapes and dtypes of a torch zip file, without torch and without running what it holds.

`data.pkl` inside the zip is a pickle. It is read by an unpickler that knows the few names a plain
dict of tensors needs, maps each of them to a stand-in of ours, and refuses everything else; no
name is ever imported.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pid_core.errors import CheckpointError
from pid_core.inspect.headers import TensorInfo

MAX_PICKLE_BYTES = 16 << 20
"""Larger ones are refused; the 461 tensors of a PiD file take about 100 KiB."""

_STORAGE_DTYPES: Mapping[str, str] = {
    "BFloat16Storage": "BF16", "HalfStorage": "F16", "FloatStorage": "F32", "DoubleStorage": "F64",
    "ByteStorage": "U8", "CharStorage": "I8", "ShortStorage": "I16", "IntStorage": "I32",
    "LongStorage": "I64", "BoolStorage": "BOOL",
}  # fmt: skip

_PLAIN_DTYPES: Mapping[str, str] = {
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64",
    "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "bool": "BOOL",
}  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    dtype: str


def read_torch_zip(path: Path) -> dict[str, TensorInfo]:
    """Names, shapes and dtypes of a flat dict of tensors, or of one below the key `state_dict`.

    Raises:
        CheckpointError: no torch zip, damaged, or it holds more than tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if e.filename.split("/")[-1] == "data.pkl"]
            if len(entries) != 1:
                raise CheckpointError(f"{path.name} is a zip, but not one that torch wrote.")
            if entries[0].file_size > MAX_PICKLE_BYTES:
                raise CheckpointError(
                    f"{path.name}: its index has {entries[0].file_size} bytes; at most "
                    f"{MAX_PICKLE_BYTES} are read."
                )
            content = _ShapeReader(io.BytesIO(archive.read(entries[0]))).load()
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is refused: {error}.",
            hint="Only plain tensors are loaded; a file that holds code could do anything.",
        ) from error
    except CheckpointError:
        raise
    except (
        Exception
    ) as error:  # a damaged zip or pickle can raise anything, and none of it is our bug
        raise CheckpointError(f"{path.name} is damaged: {error}.") from error
    return _tensors_of(path, content)


def _tensors_of(path: Path, content: Any) -> dict[str, TensorInfo]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} does not hold a dict of tensors.")
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, TensorInfo)
    }


class _ShapeReader(pickle.Unpickler):
    """Builds `TensorInfo` where torch would build tensors; imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v3"): _typed_tensor,  # float8 tensors
        }.get((module, name))
        if known is not None:
            return known
        if module == "torch" and name in _STORAGE_DTYPES:
            return _Storage(_STORAGE_DTYPES[name])
        if module == "torch.storage" and name == "UntypedStorage":
            return _Storage("U8")
        if module == "torch" and name in _PLAIN_DTYPES:
            return _Storage(_PLAIN_DTYPES[name])
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 2 and isinstance(pid[1], _Storage)):
            raise pickle.UnpicklingError("its tensors are not stored the way torch stores them")
        return pid[1]


def _tensor(storage: _Storage, _offset: int, size: Any, *_rest: Any) -> TensorInfo:
    return TensorInfo(storage.dtype, tuple(int(side) for side in size))


def _typed_tensor(
    _storage: _Storage, _offset: int, size: Any, _stride: Any, _grad: Any, _hooks: Any,
    dtype: _Storage, *_rest: Any,
) -> TensorInfo:  # fmt: skip
    return TensorInfo(dtype.dtype, tuple(int(side) for side in size))


def _parameter(data: TensorInfo, *_rest: Any) -> TensorInfo:
    return data
