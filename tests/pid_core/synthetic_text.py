# SPDX-License-Identifier: Apache-2.0
"""A small random Gemma 2 with a real (tiny) SentencePiece tokenizer, in its usual layouts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.pid_core.synthetic import marker

HIDDEN = 32
"""Width of a caption row; also what the small PiD networks read."""
_SENTENCES = (
    "a photograph of a lighthouse at dusk", "a portrait of an old man", "the sea, waves and rocks",
    "Enhanced prompt: describe the picture", "User Prompt: two cats on a red sofa", "1234567890",
    "sharp, detailed, natural light", "Given a user prompt, generate an \"Enhanced prompt\"",
)  # fmt: skip


def tokenizer_model() -> bytes:
    """A SentencePiece model like Gemma's: BPE with byte fallback and the same special ids."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_SENTENCES * 4), model_writer=out, vocab_size=340, model_type="bpe",
        byte_fallback=True, bos_id=2, eos_id=1, pad_id=0, unk_id=3, add_dummy_prefix=False,
        remove_extra_whitespaces=False, normalization_rule_name="identity", minloglevel=2,
    )  # fmt: skip
    return out.getvalue()


def gemma(seed: int = 0) -> Any:
    """transformers' own class, small, with random weights."""
    from transformers.models.gemma2.configuration_gemma2 import Gemma2Config
    from transformers.models.gemma2.modeling_gemma2 import Gemma2Model

    torch.manual_seed(seed)
    config = Gemma2Config(
        vocab_size=340, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=8, num_key_value_heads=4, head_dim=8, query_pre_attn_scalar=8,
    )  # fmt: skip
    config._attn_implementation = "eager"
    made = Gemma2Model(config).eval()
    for (
        parameter
    ) in made.parameters():  # as `from_pretrained` does: rotary frequencies stay float32
        parameter.data = parameter.data.bfloat16()
    return made


def save_single_file(made: Any, path: Path, kind: str = "bf16") -> Path:
    """ComfyUI's single file: the tokenizer inside; bf16, comfy float8 or the older scaled_fp8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in made.state_dict().items():
        if kind == "bf16" or tensor.dim() != 2:
            tensors[f"model.{name}"] = tensor.contiguous()
            continue
        layer = f"model.{name.removesuffix('.weight')}"
        scale = tensor.float().abs().max() / 448
        tensors[f"{layer}.weight"] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        if kind == "scaled_fp8":
            tensors[f"{layer}.scale_weight"] = scale
        else:
            tensors[f"{layer}.weight_scale"] = scale
            tensors[f"{layer}.comfy_quant"] = marker(format="float8_e4m3fn")
    if kind == "scaled_fp8":
        tensors["scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
    tensors["spiece_model"] = torch.frombuffer(bytearray(tokenizer_model()), dtype=torch.uint8)
    save_file(tensors, path)
    return path


def save_shards(made: Any, folder: Path) -> Path:
    """The hub's folder: two parts and a tokenizer beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": t.contiguous() for name, t in made.state_dict().items()}
    names = sorted(tensors)
    for index, part in enumerate(
        (names[: len(names) // 2 + 4], names[len(names) // 2 + 4 :]), start=1
    ):
        save_file(
            {name: tensors[name] for name in part},
            folder / f"model-0000{index}-of-00002.safetensors",
        )
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    return folder / "model-00001-of-00002.safetensors"
