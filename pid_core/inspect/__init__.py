# SPDX-License-Identifier: Apache-2.0
"""What a weights file is, read from its header and its name, without torch."""

from pid_core.inspect.backbones import BACKBONES, Backbone, backbone
from pid_core.inspect.description import Declared, Description, Words, word_about
from pid_core.inspect.detect import describe
from pid_core.inspect.models import ModelRow, scan
from pid_core.inspect.selection import PidFiles, choose

__all__ = [
    "BACKBONES",
    "Backbone",
    "Declared",
    "Description",
    "ModelRow",
    "PidFiles",
    "Words",
    "backbone",
    "choose",
    "describe",
    "scan",
    "word_about",
]
