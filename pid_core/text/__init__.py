# SPDX-License-Identifier: Apache-2.0
"""From a prompt to the 300 caption rows that PiD was trained with."""

from pid_core.text.captions import Captions

__all__ = ["Captions"]
