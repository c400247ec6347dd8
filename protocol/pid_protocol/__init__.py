# SPDX-License-Identifier: Apache-2.0
"""The wire between a client and the daemon: standard library only, no input or output outside
`discovery`.

`docs/protocol.md` is the authority; a test holds this package against it.
"""

PROTOCOL_VERSION = 1
"""Counts incompatible changes. Both sides refuse any other number, in words."""

PROGRAM_VERSION = "0.1.0"
"""Version of the program that this copy belongs to; plugins carry copies."""
