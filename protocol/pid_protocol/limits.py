# SPDX-License-Identifier: Apache-2.0
"""Numbers that are checked before anything is allocated. docs/protocol.md lists them; a test
compares."""

MAX_HEADER_BYTES = 1 << 20
"""One message's msgpack header."""
MAX_COMMAND_BYTES = 1 << 16
"""One ZMTP command: handshake and heartbeats."""
MAX_BAND_BYTES = 64 << 20
"""One band of pixels: Qt's byte arrays end at 2 GiB, and a cancel must never wait behind a
picture."""
BAND_BYTES = 4 << 20
"""What a sender aims at for one band."""
BAND_CREDITS = 8
"""Bands that may be on their way, unacknowledged, in one direction of one job."""
MAX_ICC_BYTES = 4 << 20
"""An ICC profile."""
MAX_FRAMES = 3
"""Frames of one message: the header and at most two blobs."""
MAX_DEPTH = 16
"""Nesting of maps and arrays in a header."""
MAX_ITEMS = 65_536
"""Entries of one map or array in a header."""
MAX_TEXT_CHARS = 8_192
"""A prompt or any other text from a client."""
MAX_SIDE_PX = 65_536
"""A picture's side, in or out."""
MAX_PIXELS = 1 << 30
"""A picture's area, in or out: 32768 squared."""
MAX_JOBS_PER_CLIENT = 1_024
"""Jobs of one connection that are not finished."""
