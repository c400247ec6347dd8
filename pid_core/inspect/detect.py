# SPDX-License-Identifier: Apache-2.0
"""What a weights file is: its role, layout, generation and latent family.

The weights speak first; what they leave open the file's name, the folders' names and the user's
word decide, and a contradiction is refused in words. Torch-free.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pid_core.errors import CheckpointError, CheckpointMismatch
from pid_core.inspect.backbones import BACKBONES, backbone
from pid_core.inspect.description import NSCL, PID, PIXELDIT, UNKNOWN, Declared, Description
from pid_core.inspect.detect_text import describe_text_encoder
from pid_core.inspect.detect_vae import describe_vae
from pid_core.inspect.families import decide_family
from pid_core.inspect.generations import GENERATIONS, PIXELDIT_VARIANTS, VARIANTS
from pid_core.inspect.headers import FileHeader, read_header
from pid_core.inspect.names import NameHints, read_names
from pid_core.inspect.network_options import FIRST_CONV, Shapes, generation_of, unpatchify
from pid_core.inspect.quantisation import SIDE_TENSORS, read_quantisation
from pid_core.inspect.tensor_names import find_prefix, official_names


def describe(path: Path, declared: Declared | None = None) -> Description:
    """Find out what a file is; a file that cannot be used says why in `problem`.

    Raises:
        CheckpointMissing: there is no such file.
    """
    declared = declared or Declared()
    try:
        header = read_header(path)
        return describe_header(header, declared)
    except CheckpointError as error:
        if not path.is_file():
            raise
        return Description(UNKNOWN, problem=str(error), hint=error.hint)


def describe_header(header: FileHeader, declared: Declared) -> Description:
    """Find out what a file is from its header.

    Raises:
        CheckpointError: its quantisation markers cannot be read.
    """
    hints = read_names(header.path)
    prefix = find_prefix(header.tensors)
    if prefix is not None:
        return _describe_network(header, prefix, hints, declared)
    found = describe_text_encoder(header) or describe_vae(header, hints, declared)
    return found or Description(UNKNOWN, problem="It is no PiD, VAE or Gemma 2 file.")


def official_shapes(header: FileHeader, prefix: str) -> Shapes:
    """Shapes by official names; side tensors of quantised layers left out."""
    names = official_names(header.tensors, prefix)
    return {
        official: header.tensors[name].shape
        for name, official in names.items()
        if not official.endswith(SIDE_TENSORS)
    }


def _describe_network(
    header: FileHeader, prefix: str, hints: NameHints, declared: Declared
) -> Description:
    shapes = official_shapes(header, prefix)
    quantised = read_quantisation(header).label
    found = Description(
        PIXELDIT,
        quantised or _plain_layout(header),
        prefix,
        is_quantised=bool(quantised),
        licence=NSCL,
    )
    if FIRST_CONV not in shapes:
        return _describe_pixeldit(found, hints, declared)
    try:
        generation = generation_of(shapes)
        found = replace(found, role=PID, generation=generation)
        allowed = families_of(shapes[FIRST_CONV][1], generation)
        family, source = decide_family(allowed, hints, declared)
        found = replace(found, families=allowed, family=family, family_from=source)
        return replace(
            found,
            variant=_variant(generation, hints, declared),
            is_distilled=_is_distilled(hints, declared),
        )
    except CheckpointMismatch as error:
        return replace(found, role=PID, problem=str(error), hint=error.hint)


def _describe_pixeldit(found: Description, hints: NameHints, declared: Declared) -> Description:
    """By name and word alone: the two trainings have the same tensors."""
    name = declared.variant or ("2kto4k" if hints.to_4k else "1024px")
    if name not in PIXELDIT_VARIANTS:
        return replace(
            found,
            problem=f"You say {name}, but it is PixelDiT, which there is in "
            f"{' and '.join(PIXELDIT_VARIANTS)}.",
        )
    return replace(found, variant=name, is_distilled=False)


def families_of(conv_in: int, generation: str) -> tuple[str, ...]:
    """Families whose latent fits a first convolution of `conv_in` channels.

    Raises:
        CheckpointMismatch: none does.
    """
    allowed: list[str] = []
    for name in BACKBONES:
        try:
            factor = unpatchify(conv_in, backbone(name))
        except CheckpointMismatch:
            continue
        # only v1.5 spreads packed latents inside the network, and only FLUX.2's are packed
        if factor == 1 or (name == "flux2" and generation == "v1.5"):
            allowed.append(name)
    if not allowed:
        raise CheckpointMismatch(
            f"Its first convolution takes {conv_in} channels, which no known latent family has.",
            hint="Channels: "
            + ", ".join(f"{b.title} {b.channels}" for b in BACKBONES.values())
            + ".",
        )
    return tuple(allowed)


def _plain_layout(header: FileHeader) -> str:
    dtypes = [info.dtype.lower() for info in header.tensors.values()]
    common = max(set(dtypes), key=dtypes.count)
    return f"pth {common}" if header.container == "torch" else common


def _variant(generation: str, hints: NameHints, declared: Declared) -> str:
    if declared.variant is not None:
        row = VARIANTS.get(declared.variant)
        if row is None or row.generation != generation:
            its = f"is {row.generation}" if row else "is none of PiD's"
            raise CheckpointMismatch(
                f"The weights are {generation}; the variant {declared.variant} {its}."
            )
        return declared.variant
    if hints.is_v15 and generation != "v1.5":
        raise CheckpointMismatch(
            f"Its name says v1.5, but its tensors are those of {generation}.",
            hint="Rename the file, or name the variant.",
        )
    if GENERATIONS[generation].pit_injection:
        return "2kto4k_v1pt5"
    return "2kto4k" if hints.to_4k else "2k"


def _is_distilled(hints: NameHints, declared: Declared) -> bool:
    if declared.is_distilled is not None:
        return declared.is_distilled
    return not hints.is_teacher
