# SPDX-License-Identifier: Apache-2.0
"""The one place where an error of `pid_core` becomes one with a wire code. Torch-free; broker and
worker use it."""

from __future__ import annotations

from pid_core import errors as core
from pid_protocol import errors as wire

BY_CORE_CLASS: dict[type[core.CoreError], type[wire.PidError]] = {
    core.InvalidImage: wire.InvalidImage,
    core.InvalidOptions: wire.InvalidRequest,
    core.ShapeMismatch: wire.InternalError,
    core.CheckpointMissing: wire.CheckpointMissing,
    core.CheckpointMismatch: wire.CheckpointMismatch,
    core.CheckpointError: wire.CheckpointMismatch,
    core.LicenceNotAccepted: wire.LicenceNotAccepted,
    core.NotEnoughMemory: wire.OutOfMemory,
}


ACKNOWLEDGE = "`pid models accept NSCLv1` asks for it once; the engine compact is free for any use."


def from_core(error: core.CoreError) -> wire.PidError:
    """The wire error for a core error; the nearest base class decides."""
    if isinstance(error, core.LicenceNotAccepted):
        return wire.LicenceNotAccepted(str(error), ACKNOWLEDGE)
    for cls in type(error).__mro__:
        if cls in BY_CORE_CLASS:
            return BY_CORE_CLASS[cls](str(error), error.hint)
    return wire.InternalError(str(error), error.hint)
