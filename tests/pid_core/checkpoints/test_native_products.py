# SPDX-License-Identifier: Apache-2.0
"""Products in the hardware's own arithmetic: right where they are used, and used where they are
right.

PyTorch computes int8 and float8 products on any CPU, slowly where there are no instructions, so
their arithmetic is tested everywhere. mxfp8 has kernels on Blackwell GPUs alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from pid_core.checkpoints import load_pid, native_products
from pid_core.checkpoints.native_products import (
    FEW_ROWS,
    NATIVE,
    int8_product,
    is_usable,
    probe_error,
)
from pid_core.checkpoints.quantised_linear import QuantisedLinear
from pid_core.inspect import describe
from pid_core.inspect.quantisation import LayerFormat
from tests.pid_core import synthetic

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    is_usable.cache_clear()
    yield
    is_usable.cache_clear()


@pytest.mark.parametrize(
    ("kind", "limit"), [("int8_tensorwise", 0.01), ("float8_e4m3fn", 0.03), ("float8_e5m2", 0.03)]
)
def test_a_product_costs_its_format_s_precision(kind: str, limit: float) -> None:
    assert 0.001 < probe_error(kind, CPU) < limit


def test_a_cpu_multiplies_int8_where_it_has_the_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for capabilities, expected in (({"avx512_vnni": True}, True), ({"avx2": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda there=capabilities: there)
        is_usable.cache_clear()
        assert is_usable("int8_tensorwise", "cpu") == expected
        assert not is_usable("float8_e4m3fn", "cpu") and not is_usable("mxfp8", "cpu")


@pytest.mark.parametrize("outcome", [0.5, float("nan"), RuntimeError("no kernel image")])
def test_a_device_that_computes_wrongly_dequantises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, outcome: float | Exception
) -> None:
    def probe(*_: object) -> float:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(native_products, "_has_instructions", lambda *_: True)
    monkeypatch.setattr(native_products, "probe_error", probe)
    assert not is_usable("mxfp8", "cpu")
    assert "mxfp8 weights are dequantised on cpu" in caplog.text


def test_a_missing_kernel_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_products, "_has_instructions", lambda *_: True)
    assert not is_usable("mxfp8", "cpu")  # PyTorch's own refusal


def filled(
    kind: LayerFormat, rows: int = 32, columns: int = 64, **settings: bool
) -> QuantisedLinear:
    generator = torch.Generator().manual_seed(0)
    layer = QuantisedLinear(nn.Linear(columns, rows), kind, torch.float32, **settings)
    stored = torch.randint(-127, 128, (rows, columns), dtype=torch.int8, generator=generator)
    scale = torch.rand(rows, 1, generator=generator)
    layer.fill("layer", stored, scale, torch.randn(rows, generator=generator))
    return layer


def test_layers_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LayerFormat("int8_tensorwise", "scale")
    monkeypatch.setattr(native_products, "is_usable", lambda *_: True)
    assert filled(plain).native is int8_product
    assert filled(LayerFormat("int8_tensorwise", "scale", is_weight_only=True)).native is None
    assert filled(plain, is_exact=True).native is None
    assert filled(plain, rows=30).native is None  # no multiple of what kernels take
    monkeypatch.setattr(native_products, "is_usable", lambda *_: False)
    assert filled(plain).native is None


@pytest.mark.parametrize("group", [0, 16])
def test_a_native_layer_is_the_dequantised_one(monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(native_products, "is_usable", lambda *_: True)
    layer = filled(LayerFormat("int8_tensorwise", "scale", group))
    x = torch.randn(2, FEW_ROWS, 64)
    truth = nn.functional.linear(x, layer.weight, layer.bias)
    few = layer(x[0])
    assert torch.allclose(few, truth[0], rtol=1e-4, atol=1e-3)
    many = layer(x)
    error = float((many - truth).norm() / truth.norm())
    assert many.shape == (2, FEW_ROWS, 32) and 1e-4 < error < 0.01
    x[1, 3] = 0
    assert torch.allclose(layer(x)[1, 3], layer.bias)


def test_the_file_may_ask_for_full_precision(tmp_path: Path) -> None:
    tensors = synthetic.network(synthetic.V15_FLUX, small=True)
    in_file, _ = synthetic.quantise(tensors, "int8_tensorwise")
    layer = "net.patch_blocks.0.attn.qkv_x"
    in_file[f"{layer}.comfy_quant"] = synthetic.marker(
        format="int8_tensorwise", full_precision_matrix_mult=True
    )
    path = synthetic.save_comfy(in_file, tmp_path / "pid_1.5_flux1.safetensors", "")
    net = load_pid(path, describe(path))
    assert net.get_submodule(layer.removeprefix("net.")).kind.is_weight_only
    assert not net.get_submodule("patch_blocks.0.attn.qkv_y").kind.is_weight_only

    in_file, _ = synthetic.quantise(tensors, "scaled_fp8")
    for elements, expected in ((2, True), (0, False)):
        in_file["scaled_fp8"] = torch.zeros(elements, dtype=torch.float8_e4m3fn)
        path = synthetic.save_comfy(in_file, tmp_path / f"pid_1.5_flux1_{elements}.safetensors", "")
        net = load_pid(path, describe(path))
        assert net.get_submodule("patch_blocks.0.attn.qkv_x").kind.is_weight_only == expected


def test_every_format_has_a_row() -> None:
    from pid_core.inspect.quantisation import FORMATS

    assert set(NATIVE) == set(FORMATS)
