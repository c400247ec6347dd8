# SPDX-License-Identifier: Apache-2.0
"""How the two sides prove that they read the same connection file, without the token ever
travelling.

The client's PLAIN password and the daemon's proof are different HMACs of the token: whoever sits on
an old port
learns a password that no running daemon takes, and cannot make the proof.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

USERNAME = b"pid"
"""PLAIN user name of every client."""
TOKEN_BYTES = 32
"""256 bits, fresh at each start of the daemon; written as hexadecimal digits."""
CHALLENGE_BYTES = 16
"""Random bytes that a client sends with `hello`."""


def new_token() -> str:
    """A fresh token, 64 hexadecimal digits."""
    return secrets.token_hex(TOKEN_BYTES)


def new_challenge() -> bytes:
    """Random bytes for one `hello`."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def client_password(token: str) -> bytes:
    """What a client sends as its PLAIN password."""
    return hmac.new(token.encode(), b"client", hashlib.sha256).hexdigest().encode()


def daemon_proof(token: str, challenge: bytes) -> bytes:
    """What the daemon answers to a challenge, 32 bytes."""
    return hmac.new(token.encode(), b"daemon" + challenge, hashlib.sha256).digest()


def is_same(a: bytes, b: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(a, b)
