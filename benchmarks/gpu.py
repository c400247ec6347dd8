# SPDX-License-Identifier: Apache-2.0
"""PidNet on a GPU: time against the arithmetic bound, memory, attention backends, compilation,
and products in the formats of quantised files.

    python benchmarks/gpu.py [--budget-s 540] [--tflops 798]

Prints the whole table in one call and stops starting new rows when the budget is spent, so that it
fits into a loan of ten minutes. Random full-size weights (v1.5, FLUX latents), bfloat16, whole
images. Without a CUDA device it says so and exits 2.

Not yet run on a GPU: none was at hand when it was written.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from full_size import V15_FLUX, decode_operations, inputs, load_net, random_weights
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from pid_core.checkpoints.native_products import (
    NATIVE,
    is_usable,
    probe_error,
    simply_quantised,
)
from pid_core.networks.pid_net import Conditioning, PidNet, PidNetSizes
from pid_core.samplers.noise import pixel_stream
from pid_core.samplers.schedule import STUDENT_TIMESTEPS
from pid_core.samplers.step import Velocity
from pid_core.samplers.student import sample_student

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}
STEPS = len(STUDENT_TIMESTEPS) - 1


@dataclass(frozen=True)
class Row:
    """One measured decode."""

    what: str
    seconds: float
    """Median of the repeats, from noise to image."""
    peak_gb: float
    """Most memory (10^9 bytes) that torch held, weights included."""
    bound_s: float
    """Arithmetic alone at the device's dense bfloat16 rate."""


def decode(field: Velocity, start: torch.Tensor) -> torch.Tensor:
    """A 4-step decode; noise is drawn on the device here, for the table is about the network."""
    *_, last = sample_student(
        field, start, STUDENT_TIMESTEPS, renoise=lambda: torch.randn_like(start)
    )
    return last.state


def measure(work: Callable[[], torch.Tensor], repeats: int) -> tuple[float, float]:
    """Median seconds and peak gigabytes of `work`, after one run that is not counted."""
    work()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2], torch.cuda.max_memory_allocated() / 1e9


@contextmanager
def backend(name: str) -> Iterator[None]:
    """PyTorch's attention restricted to one backend; `default` leaves the choice to it."""
    if name == "default":
        yield
        return
    with sdpa_kernel(BACKENDS[name]):
        yield


def graphed(net: PidNet, start: torch.Tensor, conditioning: Conditioning) -> Velocity:
    """The network's call captured once as a CUDA graph and replayed with new inputs."""
    image, timestep = start.clone(), torch.full((1,), 999.0, device=start.device)
    side_stream = torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):  # lazy initialisation must not be captured
        net.velocity(image, timestep, conditioning)
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = net.velocity(image, timestep, conditioning)

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        image.copy_(x)
        timestep.fill_(1000 * t)
        graph.replay()
        return output

    return velocity


def compiled(net: PidNet) -> PidNet:
    """The network with every block compiled; one compilation serves all blocks of a kind."""
    for block in (*net.patch_blocks, *net.pixel_blocks):
        block.compile()
    return net


def attention_tflops(length: int, heads: int, head_size: int) -> float:
    """Rate of one attention in the current backend, in 10^12 operations a second."""
    q, k, v = (
        torch.randn(1, heads, length, head_size, device="cuda", dtype=torch.bfloat16)
        for _ in range(3)
    )
    seconds, _ = measure(lambda: F.scaled_dot_product_attention(q, k, v), 5)
    return 4 * length**2 * heads * head_size / seconds / 1e12


def report_attention() -> str:
    """Print every backend's rate at both head sizes; the fastest one's name."""
    rates = {}
    for name in BACKENDS:
        try:
            with backend(name):
                rates[name] = [attention_tflops(16684, 24, 64), attention_tflops(16384, 16, 72)]
        except RuntimeError as error:  # the device has no such kernel
            print(f"attention {name:10} not available: {str(error).splitlines()[0]}")
            continue
        at_64, at_72 = rates[name]
        print(f"attention {name:10} head 64: {at_64:6.0f}  head 72: {at_72:6.0f} TFLOP/s")
    return max(rates, key=lambda name: rates[name][0], default="default")


def report_products() -> None:
    """Print how a wide layer's product does natively in every format, beside bfloat16."""
    device = torch.device("cuda", torch.cuda.current_device())
    x = torch.randn(8192, 1536, device=device, dtype=torch.bfloat16)
    weight = torch.randn(4608, 1536, device=device)
    plain = weight.bfloat16()
    plain_s, _ = measure(lambda: F.linear(x, plain), 9)
    for kind, native in NATIVE.items():
        if not is_usable(kind, str(device)):
            print(f"products {kind:16} dequantised here")
            continue
        stored, scale = simply_quantised(kind, weight)
        seconds, _ = measure(functools.partial(native.product, x, stored, scale), 9)
        error = probe_error(kind, device)
        print(f"products {kind:16} {seconds / plain_s:5.2f} x bfloat16's time, error {error:.3f}")


def whole_decode(
    net: PidNet, prepared: tuple[torch.Tensor, ...], start: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Everything from latent and caption embeddings to the image."""
    height, width = start.shape[-2:]
    conditioning = net.prepare(*prepared, height, width, chunk_tokens=chunk)
    return decode(net.velocity_field(conditioning), start)


def rows_of_size(
    net: PidNet, side_px: int, repeats: int, fastest: str, bound_s: float, deadline: float
) -> Iterator[Row]:
    """Decodes of one size, from the plain one on; nothing new is begun after the deadline."""
    start = pixel_stream(1).draw((1, 3, side_px, side_px), "cuda")
    prepared = tuple(tensor.cuda() for tensor in inputs(side_px))
    for name, chunk in itertools.product(("default", fastest), (2048, 8192, 32768)):
        if time.monotonic() > deadline:
            return
        with backend(name):
            work = functools.partial(whole_decode, net, prepared, start, chunk)
            what = f"{side_px} px, {name} attention, chunks of {chunk}"
            yield Row(what, *measure(work, repeats), bound_s)
    if time.monotonic() < deadline:
        with backend(fastest):
            field = graphed(net, start, net.prepare(*prepared, side_px, side_px))
            work = functools.partial(decode, field, start)
            yield Row(f"{side_px} px, CUDA graph", *measure(work, repeats), bound_s)
    torch.cuda.empty_cache()


def rows(net: PidNet, fastest: str, tflops: float, deadline: float) -> Iterator[Row]:
    """Decodes of both sizes."""
    for side_px, repeats in ((2048, 5), (4096, 2)):
        bound_s = decode_operations(side_px, STEPS) / (tflops * 1e12)
        yield from rows_of_size(net, side_px, repeats, fastest, bound_s, deadline)


def main() -> int:
    """Print the table; 2 without a CUDA device."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget-s", type=float, default=540, help="seconds for the whole call")
    parser.add_argument(
        "--tflops", type=float, default=798, help="the device's dense bfloat16 rate"
    )
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing was measured.")
        return 2
    deadline = time.monotonic() + 0.6 * options.budget_s
    sizes = PidNetSizes.from_official(V15_FLUX)
    net = load_net(sizes, random_weights(sizes), torch.bfloat16).cuda()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    report_products()
    fastest = report_attention()
    print(f"{'decode, 4 steps':46} {'s':>8} {'x bound':>8} {'peak GB':>8}")
    for row in rows(net, fastest, options.tflops, deadline):
        print_row(row)
    compiled(net)  # last, for it changes the network
    for row in rows(net, fastest, options.tflops, time.monotonic() + 0.25 * options.budget_s):
        print_row(Row(f"compiled: {row.what}", row.seconds, row.peak_gb, row.bound_s))
    return 0


def print_row(row: Row) -> None:
    """One line of the table."""
    ratio = row.seconds / row.bound_s
    print(f"{row.what:46} {row.seconds:8.3f} {ratio:8.2f} {row.peak_gb:8.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
