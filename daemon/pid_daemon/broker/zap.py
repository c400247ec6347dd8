# SPDX-License-Identifier: Apache-2.0
"""Admission by ZMTP PLAIN: libzmq asks here before a connection may say anything (RFC 27, ZAP)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"pid"
USERNAME = b"pid"
VERSION = b"1.0"


def answer(request: Sequence[bytes], password: bytes) -> list[bytes]:
    """Decide about one connection.

    Args:
        request: the frames behind the reply envelope: version, request id, domain, address,
            identity, mechanism, credentials….
        password: the only one that is let in.
    Returns:
        The frames of the reply.
    """
    version, number, mechanism = VERSION, b"", b""
    credentials: Sequence[bytes] = ()
    if len(request) >= 6:
        version, number, mechanism, credentials = request[0], request[1], request[5], request[6:]
    status, text = b"400", b"No access"
    if version == VERSION and mechanism == b"PLAIN" and len(credentials) == 2:
        # Both comparisons always run, and in constant time: the answer's delay tells nothing.
        name_fits = hmac.compare_digest(credentials[0], USERNAME)
        password_fits = hmac.compare_digest(credentials[1], password)
        if name_fits & password_fits:
            status, text = b"200", b"OK"
    if status != b"200":
        log.warning("a connection with a wrong token was turned away")
    return [VERSION, number, status, text, b"", b""]
