# SPDX-License-Identifier: Apache-2.0
"""The genuine tokenizer, where a copy is at hand: it is under Gemma's terms and not committed.

PID_TEST_TOKENIZER=/path/to/tokenizer.json pytest tests/pid_core/text/test_real_tokenizer.py
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pid_core.text.instruction import instruction_prefix
from pid_core.text.tokens import load_tokenizer, prompt_tokens

SHA256 = "3f289bc05132635a8bc7aca7aa21255efd5e18f3710f43e3cdb96bcd41be4922"

path = Path(os.environ.get("PID_TEST_TOKENIZER", "/nowhere"))
pytestmark = pytest.mark.skipif(not path.is_file(), reason="PID_TEST_TOKENIZER names no file")


def test_the_trained_length() -> None:
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    tokenize, prefix = load_tokenizer(path), instruction_prefix()
    assert 1 + len(tokenize(prefix)) == 208
    tokens = prompt_tokens(tokenize, prefix, "a photograph of a lighthouse")
    assert len(tokens.ids) == 506 and tokens.kept[:2] == [0, 207]
    # the prefix's trailing space merges into the caption's first word
    assert tokenize("a photograph")[0] != tokens.ids[207]
    assert tokens.ids[207] == tokenize(" a")[0]
    assert sum(prompt_tokens(tokenize, prefix, "").mask) == 208
