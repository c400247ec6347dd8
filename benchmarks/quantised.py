# SPDX-License-Identifier: Apache-2.0
"""An int8 checkpoint on this CPU: its native products beside dequantised ones and bfloat16.

    python benchmarks/quantised.py [--side 512] [--rounds 3]

One network of the released size (v1.5, FLUX latents, random weights), its wide layers rotated and
rounded to int8 as ComfyUI's `int8_convrot` files hold them. Each round calls all variants once, in
turn; time is the least CPU seconds of all threads, error the distance to the float32 network over
its own size.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from time import process_time

import torch
from full_size import V15_FLUX, inputs, load_net, random_weights
from torch import nn

from pid_core.checkpoints import native_products
from pid_core.checkpoints.quantised_formats import rotate
from pid_core.checkpoints.quantised_linear import QuantisedLinear
from pid_core.inspect.quantisation import LayerFormat
from pid_core.networks.packed import pack_for_cpu
from pid_core.networks.pid_net import PidNet, PidNetSizes
from pid_core.samplers.noise import NoiseStream
from pid_core.samplers.step import Velocity

GROUPS = (256, 64)
"""Columns that are rotated together: the first that divides a layer's."""
KEPT = ("adaLN_modulation.0", "mlp.fc1", "mlp.fc2")
"""Layers of the pixel blocks that the published files are inferred to keep in bfloat16."""


def quantised(layer: nn.Linear, *, is_exact: bool) -> QuantisedLinear:
    """The layer's int8 stand-in."""
    group = next(group for group in GROUPS if layer.in_features % group == 0)
    turned = rotate(layer.weight.float(), group)
    scale = turned.abs().amax(1, keepdim=True) / 127
    kind = LayerFormat("int8_tensorwise", "scale", group)
    made = QuantisedLinear(layer, kind, torch.bfloat16, is_exact=is_exact)
    made.fill("", (turned / scale).round().to(torch.int8), scale, layer.bias)
    return made


def int8_net(net: PidNet, *, is_exact: bool) -> PidNet:
    """A copy whose blocks hold int8 layers."""
    made = copy.deepcopy(net)
    for block in (*made.patch_blocks, *made.pixel_blocks):
        for name, layer in list(block.named_modules()):
            if isinstance(layer, nn.Linear) and name not in KEPT:
                block.set_submodule(name, quantised(layer, is_exact=is_exact))
    pack_for_cpu(made)
    return made


def fields(side_px: int) -> Iterator[tuple[str, Velocity]]:
    """The networks that are compared, one at a time, the truth first."""
    sizes = PidNetSizes.from_official(V15_FLUX)

    def field(net: PidNet) -> Velocity:
        return net.velocity_field(net.prepare(*inputs(side_px), side_px, side_px))

    net = load_net(sizes, random_weights(sizes), torch.float32)
    yield "float32", field(net)
    net = net.bfloat16()
    yield "int8 dequantised", field(int8_net(net, is_exact=True))
    yield "int8 native", field(int8_net(net, is_exact=False))
    pack_for_cpu(net)
    yield "bfloat16", field(net)


@torch.no_grad()
def main() -> int:
    """Print the table; 2 where the CPU has no int8 instructions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="side of the output in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not native_products.is_usable("int8_tensorwise", "cpu"):
        print("This CPU has no int8 products of its own: nothing was measured.")
        return 2
    image = NoiseStream(1).draw((1, 3, options.side, options.side))
    seconds: dict[str, list[float]] = {}
    answers: dict[str, torch.Tensor] = {}
    work = fields(options.side)
    answers["float32"] = next(work)[1](image, 0.866)
    compared = dict(work)
    for _ in range(options.rounds):
        for name, field in compared.items():
            started = process_time()
            answers[name] = field(image, 0.866)
            seconds.setdefault(name, []).append(process_time() - started)
    truth, fastest = answers["float32"], min(seconds["bfloat16"])
    print(f"{'one call':18} {'CPU s':>7} {'x bfloat16':>11} {'error':>9}")
    for name, times in seconds.items():
        error = float((answers[name] - truth).norm() / truth.norm())
        print(f"{name:18} {min(times):7.2f} {min(times) / fastest:11.2f} {error:9.2e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
