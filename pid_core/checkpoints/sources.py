# SPDX-License-Identifier: Apache-2.0
"""Memory-mapped access to the tensors of a file. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pid_core.errors import CheckpointError
from pid_core.inspect.headers import read_header

_log = logging.getLogger(__name__)


def open_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, torch.Tensor]:
    """Map tensors of a file into memory; pages are read when they are first looked at.

    Args:
        path: safetensors or torch zip.
        names: which ones; None = all.
    Raises:
        CheckpointError: the file is damaged or holds more than tensors.
    """
    if read_header(path).container == "torch":
        tensors = _torch_tensors(path)
        return tensors if names is None else {name: tensors[name] for name in names}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in (names or file.keys())}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}.") from error


def as_safetensors(path: Path, cache_folder: Path | None) -> Path:
    """A safetensors twin of a torch zip, written once into the cache; any other file as it is.

    A twin maps without unpickling and loads layer by layer. A full disk is no error: the original
    is used then.
    """
    if cache_folder is None or read_header(path).container != "torch":
        return path
    twin = cache_folder / f"{path.parent.name}-{path.stem}-{_stamp(path)}.safetensors"
    if twin.is_file():
        return twin
    unfinished = twin.with_suffix(f".{os.getpid()}.unfinished")
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in _torch_tensors(path).items()}
        save_file(tensors, unfinished, metadata={"converted_from": path.name})
        os.replace(unfinished, twin)
    except (OSError, RuntimeError, SafetensorError) as error:  # RuntimeError: tensors that overlap
        _log.warning("no safetensors copy of %s: %s", path, error)
        unfinished.unlink(missing_ok=True)
        return path
    return twin


def _torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path.name} cannot be read: {reason}.") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    return {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _stamp(path: Path) -> str:
    stat = path.stat()
    text = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
