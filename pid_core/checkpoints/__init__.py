# SPDX-License-Identifier: Apache-2.0
"""From a weights file of any known layout to a network that is ready to run."""

from pid_core.checkpoints.load import load_pid, load_pixeldit

__all__ = ["load_pid", "load_pixeldit"]
