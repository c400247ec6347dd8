# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of any layout -> `PidNet` or `PixelDit`, with exactly the tensors it needs.

The network is made on the meta device and takes over the file's memory-mapped tensors; quantised
layers stay quantised.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pid_core.checkpoints.adaln import merge_split_modulation
from pid_core.checkpoints.exact import require_exact
from pid_core.checkpoints.quantised_linear import QuantisedLinear
from pid_core.checkpoints.sources import as_safetensors, open_tensors
from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import backbone
from pid_core.inspect.description import PID, PIXELDIT, Description
from pid_core.inspect.detect import official_shapes
from pid_core.inspect.generations import GENERATIONS, PIXELDIT_VARIANTS
from pid_core.inspect.headers import read_header
from pid_core.inspect.network_options import pid_options, pixeldit_options
from pid_core.inspect.quantisation import SIDE_TENSORS, LayerFormat, read_quantisation
from pid_core.inspect.tensor_names import official_names
from pid_core.networks.pid_net import PidNet
from pid_core.networks.pixeldit import PixelDit
from pid_core.networks.sizes import PidNetSizes, PixelDitSizes

TITLES = {PID: "PiD", PIXELDIT: "PixelDiT"}


def load_pid(
    path: Path,
    description: Description,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    cache_folder: Path | None = None,
) -> PidNet:
    """Load a PiD network.

    Args:
        path: official .pth, or safetensors in any layout that `describe` knows.
        description: what `describe` said about it, the user's word included.
        device: where the weights go.
        dtype: of the arithmetic and of all weights that are not quantised.
        cache_folder: where a .pth gets its safetensors twin; None = it is read as it is.
    Raises:
        CheckpointMissing: there is no such file.
        CheckpointMismatch: it is no PiD file, or its tensors are not exactly the network's.
    """
    _require_role(path, description, PID)
    source = as_safetensors(path, cache_folder)
    with torch.device("meta"):
        net = PidNet(pid_sizes(source, description))
    return _loaded(net, path, source, description, torch.device(device), dtype)


def load_pixeldit(
    path: Path,
    description: Description,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    cache_folder: Path | None = None,
) -> PixelDit:
    """Load a text-to-image network; everything as in `load_pid`."""
    _require_role(path, description, PIXELDIT)
    source = as_safetensors(path, cache_folder)
    shapes = official_shapes(read_header(source), description.prefix)
    training = PIXELDIT_VARIANTS[description.variant]
    with torch.device("meta"):
        net = PixelDit(PixelDitSizes.from_official(pixeldit_options(shapes, training)))
    return _loaded(net, path, source, description, torch.device(device), dtype)


def pid_sizes(path: Path, description: Description) -> PidNetSizes:
    """Sizes of a PiD file's network, from its header and the declared rows.

    Raises:
        CheckpointMismatch: they do not fit together.
    """
    shapes = official_shapes(read_header(path), description.prefix)
    return PidNetSizes.from_official(
        pid_options(shapes, GENERATIONS[description.generation], backbone(description.family))
    )


def _require_role(path: Path, description: Description, role: str) -> None:
    if description.role != role or description.problem:
        raise CheckpointMismatch(
            f"{path.name} is no usable {TITLES[role]} file: "
            f"{description.problem or description.role}.",
            hint=description.hint,
        )


Net = TypeVar("Net", PidNet, PixelDit)


def _loaded(
    net: Net,
    path: Path,
    source: Path,
    description: Description,
    device: torch.device,
    dtype: torch.dtype,
) -> Net:
    """The network on the meta device, filled with a file's tensors."""
    header = read_header(source)
    names = official_names(header.tensors, description.prefix)
    formats = {
        names[f"{layer}.weight"].removesuffix(".weight"): kind
        for layer, kind in read_quantisation(header).layers.items()
        if f"{layer}.weight" in names
    }
    in_file = open_tensors(source, names)
    tensors = merge_split_modulation(
        {official: in_file[name] for name, official in names.items()}, net.sizes.pixel_size
    )
    _fill(net, path.name, tensors, formats, names, dtype, device)
    return net.eval().requires_grad_(False)


def _fill(
    net: nn.Module,
    file_name: str,
    tensors: dict[str, torch.Tensor],
    formats: dict[str, LayerFormat],
    names: dict[str, str],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    expected = {name: tensor.shape for name, tensor in net.state_dict().items()}
    side = {name: t for name, t in tensors.items() if name.endswith(SIDE_TENSORS)}
    plain = {name: t for name, t in tensors.items() if name not in side}
    found = {
        name: expected.get(name, tensor.shape)  # a padded weight is checked by its own layer
        if name.removesuffix(".weight") in formats
        else tensor.shape
        for name, tensor in plain.items()
    }
    require_exact(file_name, expected, found)
    for layer, kind in formats.items():
        module = net.get_submodule(layer)
        if not isinstance(module, nn.Linear):
            raise CheckpointMismatch(f"{file_name}: {layer} is quantised, but is no linear layer.")
        stand_in = QuantisedLinear(module, kind, dtype)
        scale = None if kind.scale_name is None else side[names[kind.scale_name]]
        stand_in.fill(
            layer,
            plain.pop(f"{layer}.weight").to(device),
            _moved(scale, device),
            _moved(plain.pop(f"{layer}.bias", None), device),
            _moved(side.get(f"{layer}.pre_quant_scale"), device),
        )
        net.set_submodule(layer, stand_in)
    # buffers of the stand-ins are filled already, so only the plain tensors are looked for
    net.load_state_dict(
        {name: tensor.to(device, dtype) for name, tensor in plain.items()},
        strict=False,
        assign=True,
    )


def _moved(tensor: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
    return None if tensor is None else tensor.to(device)
