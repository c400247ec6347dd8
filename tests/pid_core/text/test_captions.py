# SPDX-License-Identifier: Apache-2.0
"""Captions: tokenised as trained, encoded as transformers does, and remembered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from pid_core.errors import CheckpointError, CheckpointMissing
from pid_core.inspect import describe
from pid_core.inspect.fingerprint import cached_captions
from pid_core.text import Captions, instruction
from pid_core.text.gemma import GemmaEncoder
from pid_core.text.tokens import kept_positions, load_tokenizer, prompt_tokens
from tests.pid_core import synthetic_text

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made():
    return synthetic_text.gemma()


def _reference(made, prompt: str) -> torch.Tensor:
    """transformers from ids to hidden states, by its own embedding."""
    tokenize = load_tokenizer(synthetic_text.tokenizer_model())
    tokens = prompt_tokens(tokenize, instruction.instruction_prefix(), prompt)
    with torch.no_grad():
        out = made(input_ids=torch.tensor([tokens.ids]), attention_mask=torch.tensor([tokens.mask]))
    return out.last_hidden_state[:, tokens.kept].float()


def test_the_instruction_is_the_trained_one() -> None:
    text = instruction.instruction_prefix()
    assert len(text.encode()) == 1057 and text.endswith("User Prompt: ")
    assert hashlib.sha256(text.encode()).hexdigest() == instruction.SHA256


def test_another_instruction_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.pipelines.sana.pipeline_sana import SanaPipeline

    def other(self, complex_human_instruction=("something", "else")) -> None: ...

    monkeypatch.setattr(SanaPipeline, "__call__", other)
    with pytest.raises(CheckpointError, match="another instruction text"):
        instruction.instruction_prefix()


def test_slots() -> None:
    assert kept_positions(208) == [0, *range(207, 506)]
    assert kept_positions(40, 12) == [0, *range(39, 50)]


def test_tokens_are_padded_and_cut_on_the_right() -> None:
    tokenize = load_tokenizer(synthetic_text.tokenizer_model())
    prefix = instruction.instruction_prefix()
    count = 1 + len(tokenize(prefix))
    empty = prompt_tokens(tokenize, prefix, "")
    assert len(empty.ids) == count + 298 and len(empty.kept) == 300
    assert empty.ids[0] == 2 and empty.ids[-1] == 0 and sum(empty.mask) == count
    assert 1 not in empty.ids
    long = prompt_tokens(tokenize, prefix, "two cats on a red sofa " * 200)
    assert len(long.ids) == count + 298 and min(long.mask) == 1


@pytest.mark.parametrize("layout", ["single", "shards", "shards-json"])
def test_layouts_equal_transformers(made, tmp_path: Path, layout: str) -> None:
    if layout == "single":
        path = synthetic_text.save_single_file(made, tmp_path / "gemma.safetensors")
    else:
        path = synthetic_text.save_shards(made, tmp_path / "gemma")
    if layout == "shards-json":
        _write_fast_tokenizer(path.parent)
    found = describe(path)
    assert (found.role, found.problem) == ("text-encoder", "")
    captions = Captions(path, tmp_path / "cache", synthetic_text.HIDDEN, CPU)
    for prompt in ("", "two cats on a red sofa"):
        (ours,) = captions.embeddings(prompt)
        assert ours.shape == (1, 300, synthetic_text.HIDDEN)
        assert torch.equal(ours, _reference(made, prompt))


@pytest.mark.parametrize("kind", ["float8", "scaled_fp8"])
def test_float8_stays_close(made, tmp_path: Path, kind: str) -> None:
    path = synthetic_text.save_single_file(made, tmp_path / "gemma.safetensors", kind)
    captions = Captions(path, tmp_path / "cache", synthetic_text.HIDDEN, CPU)
    (ours,) = captions.embeddings("two cats")
    expected = _reference(made, "two cats")
    assert (ours - expected).square().mean() <= 0.02 * expected.square().mean()


def test_the_encoder_is_loaded_once_per_prompt(made, tmp_path: Path) -> None:
    path = synthetic_text.save_single_file(made, tmp_path / "gemma.safetensors")
    loads: list[Path] = []

    def counted(where: Path, device: torch.device) -> GemmaEncoder:
        loads.append(where)
        return GemmaEncoder(where, device)

    cache = tmp_path / "cache"
    captions = Captions(path, cache, synthetic_text.HIDDEN, CPU, load=counted)
    (first,) = captions.embeddings("waves")
    (again,) = Captions(path, cache, synthetic_text.HIDDEN, CPU, load=counted).embeddings("waves")
    assert torch.equal(first, again) and len(loads) == 1
    # the empty prompt came along, and needs no encoder even where there is none any more
    assert len(cached_captions(cache)) == 1
    (empty,) = Captions(None, cache, synthetic_text.HIDDEN, CPU).embeddings("")
    assert torch.equal(empty, _reference(made, "")) and len(loads) == 1


def test_a_card_without_room_leaves_it_to_the_cpu(made, tmp_path: Path) -> None:
    path = synthetic_text.save_single_file(made, tmp_path / "gemma.safetensors")
    tried: list[str] = []

    def full(where: Path, device: torch.device) -> GemmaEncoder:
        tried.append(device.type)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("no room")
        return GemmaEncoder(where, device)

    captions = Captions(path, tmp_path, synthetic_text.HIDDEN, torch.device("cuda"), load=full)
    assert torch.equal(captions.embeddings("waves")[0], _reference(made, "waves"))
    assert tried == ["cuda", "cpu"]


def test_without_encoder_and_cache_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing) as caught:
        Captions(None, tmp_path, synthetic_text.HIDDEN, CPU).embeddings("a cat")
    assert "'a cat' has no cached embedding" in str(caught.value)
    assert "gemma_2_2b_it_elm_bf16.safetensors" in caught.value.hint


def test_a_damaged_cache_entry_is_made_again(made, tmp_path: Path) -> None:
    path = synthetic_text.save_single_file(made, tmp_path / "gemma.safetensors")
    cache = tmp_path / "cache"
    captions = Captions(path, cache, synthetic_text.HIDDEN, CPU)
    (first,) = captions.embeddings("")
    cached_captions(cache)[0].write_bytes(b"cut short")
    assert torch.equal(captions.embeddings("")[0], first)


def test_missing_parts_are_named(made, tmp_path: Path) -> None:
    path = synthetic_text.save_shards(made, tmp_path / "gemma")
    (path.parent / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors is missing" in describe(path).problem
    single = synthetic_text.save_shards(made, tmp_path / "other")
    (single.parent / "tokenizer.model").unlink()
    assert "without a tokenizer" in describe(single).problem


def _write_fast_tokenizer(folder: Path) -> None:
    """The same pieces as a tokenizer.json, so that both kinds must agree."""
    import sentencepiece
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    pieces = sentencepiece.SentencePieceProcessor(
        model_proto=(folder / "tokenizer.model").read_bytes()
    )
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in sorted(vocabulary, key=lambda p: vocabulary[p])
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    merges = [pair for pair in merges if not pair[0].startswith("<")]
    fast = Tokenizer(BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>"))
    fast.normalizer = normalizers.Replace(" ", "▁")
    fast.decoder = decoders.Replace("▁", " ")
    fast.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer.model").unlink()
