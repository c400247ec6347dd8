# SPDX-License-Identifier: Apache-2.0
"""What can go wrong inside the core. The daemon maps each class to a wire code in one place.

CoreError
├── InvalidImage        the picture cannot be used as it is
├── InvalidOptions      an option's value, or a combination, makes no sense
├── ShapeMismatch       two tensors or a tensor and a network disagree
├── CheckpointError     a weights file cannot be used
│   ├── CheckpointMissing
│   └── CheckpointMismatch
├── LicenceNotAccepted  weights whose licence has to be acknowledged first
└── NotEnoughMemory     the plan, or torch, says that it does not fit
"""

from __future__ import annotations


class CoreError(Exception):
    """Base of every error that the core raises on purpose.

    Args:
        message: what happened, with the values that disagree.
        hint: what to do next; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidImage(CoreError):
    """The picture cannot be used as it is: size, channels or samples."""


class InvalidOptions(CoreError):
    """An option's value, or a combination of options, makes no sense."""


class ShapeMismatch(CoreError):
    """Two tensors, or a tensor and a network, disagree about their shape."""


class CheckpointError(CoreError):
    """A weights file cannot be used."""


class CheckpointMissing(CheckpointError):
    """No file holds the weights that were asked for."""


class CheckpointMismatch(CheckpointError):
    """A file's tensors are not what the network, or the user's word, expects."""


class LicenceNotAccepted(CoreError):
    """The weights' licence has to be acknowledged once before they are used."""


class NotEnoughMemory(CoreError):
    """The plan's estimate, or torch itself, says that the work does not fit."""
