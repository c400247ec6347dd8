# SPDX-License-Identifier: Apache-2.0
"""The instruction that precedes every caption. It is read from the library that ships it, never
written here, and refused unless it is byte for byte what PiD was trained with."""

from __future__ import annotations

import hashlib
import inspect

from pid_core.errors import CheckpointError

SHA256 = "62b9ab89eebb0ac5ee4d264bf96bf19d2b81f504bc3852500efeaf5a34d638b1"
"""Of the instruction in UTF-8, 1057 bytes; the same in all official configurations."""


def instruction_prefix() -> str:
    """The instruction, ending where the caption begins.

    Raises:
        CheckpointError: the installed diffusers no longer ships this text.
    Source: diffusers, `SanaPipeline.__call__`'s default for `complex_human_instruction`. PiD's has
        double quotes where Sana's has single ones.
    """
    from diffusers.pipelines.sana.pipeline_sana import SanaPipeline

    parameter = inspect.signature(SanaPipeline.__call__).parameters.get("complex_human_instruction")
    lines = parameter.default if parameter is not None else None
    text = "\n".join(lines).replace("'", '"') if isinstance(lines, list) else ""
    if hashlib.sha256(text.encode()).hexdigest() != SHA256:
        raise CheckpointError(
            "The installed diffusers has another instruction text than PiD was trained with.",
            hint="Install a diffusers version that PiD Layers was tested with, such as 0.42.1.",
        )
    return text
