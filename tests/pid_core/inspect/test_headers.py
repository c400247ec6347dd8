# SPDX-License-Identifier: Apache-2.0
"""Headers: names and shapes of both containers, and nothing that a file could run."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pid_core.errors import CheckpointError, CheckpointMissing
from pid_core.inspect import describe
from pid_core.inspect.headers import read_header

TENSORS = {
    "a": torch.zeros(2, 3, dtype=torch.bfloat16),
    "b": torch.zeros((), dtype=torch.float32),
    "c": torch.zeros(4, dtype=torch.uint8),
    "d": torch.zeros(2, 2, dtype=torch.float8_e4m3fn),
    "e": torch.zeros(5, dtype=torch.int8),
}
EXPECTED = {
    "a": ("BF16", (2, 3)),
    "b": ("F32", ()),
    "c": ("U8", (4,)),
    "d": ("F8_E4M3", (2, 2)),
    "e": ("I8", (5,)),
}


def _shapes(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (i.dtype, i.shape) for name, i in read_header(path).tensors.items()}


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path, metadata={"who": "me"})
    assert _shapes(path) == EXPECTED
    assert read_header(path).metadata == {"who": "me"}
    assert read_header(path).read_bytes("c") == bytes(4)


@pytest.mark.parametrize("wrapper", ["dict", "ordered", "state_dict", "parameters"])
def test_torch_zips(tmp_path: Path, wrapper: str) -> None:
    path = tmp_path / "x.pth"
    content: object = dict(TENSORS)
    if wrapper == "ordered":
        content = collections.OrderedDict(TENSORS)
    elif wrapper == "state_dict":
        content = {"state_dict": TENSORS, "step": 3}
    elif wrapper == "parameters":
        content = {n: torch.nn.Parameter(t, requires_grad=False) for n, t in TENSORS.items()}
    torch.save(content, path)
    assert _shapes(path) == EXPECTED


def test_names_and_shapes_alone_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"w": torch.zeros(1000, 1000)}, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("x/data/0").file_size == 4_000_000
    assert read_header(path).tensors["w"].shape == (1000, 1000)


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "PiD_flux.pth", tmp_path / "mark"
    torch.save({"w": torch.zeros(2), "x": Harmful(mark)}, path)
    with pytest.raises(CheckpointError, match="mkdir, which is not a tensor"):
        read_header(path)
    assert "refused" in describe(path).problem
    assert not mark.exists()


@pytest.mark.parametrize("name", ["builtins eval", "os system", "torch load", "numpy ndarray"])
def test_no_name_is_imported(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        module, attribute = name.split()
        archive.writestr("x/data.pkl", f"c{module}\n{attribute}\n(V1\ntR.".encode())
    with pytest.raises(CheckpointError, match="refused"):
        read_header(path)


def test_damaged_files_are_told_apart(tmp_path: Path) -> None:
    good = tmp_path / "x.safetensors"
    save_file(TENSORS, good)
    whole = good.read_bytes()
    for content, words in [
        (b"", "neither safetensors nor a torch zip"),
        (b"GGUF" + bytes(100), "neither safetensors nor a torch zip"),
        (struct.pack("<Q", 1 << 40) + bytes(100), "neither safetensors nor a torch zip"),
        (struct.pack("<Q", 4) + b"{{{{" + bytes(9), "damaged"),
        (struct.pack("<Q", 4) + b"[12]" + bytes(9), "damaged"),
        (whole[:-1], "ends after"),
        (b"PK\x03\x04" + bytes(50), "damaged"),
    ]:
        path = tmp_path / "broken.safetensors"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=words):
            read_header(path)
    with pytest.raises(CheckpointMissing):
        read_header(tmp_path / "nothing")


def test_an_endless_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps("x" * (17 << 20)))
    with pytest.raises(CheckpointError, match="at most"):
        read_header(path)
