# SPDX-License-Identifier: Apache-2.0
"""Which latent family a file belongs to: weights, then file name, then folder, then the user's
word. Torch-free."""

from __future__ import annotations

from pid_core.errors import CheckpointMismatch
from pid_core.inspect.backbones import BACKBONES, backbone
from pid_core.inspect.description import Declared
from pid_core.inspect.names import NameHints


def decide_family(
    allowed: tuple[str, ...], hints: NameHints, declared: Declared
) -> tuple[str, str]:
    """Decide among the families that the weights allow.

    Names are believed before the user's word is needed, but the word may not contradict weights or
    file name.

    Returns:
        (family, what decided).
    Raises:
        CheckpointMismatch: a name or the word contradicts the weights or each other, or nothing
            decides.
    """
    titles = " or ".join(BACKBONES[name].title for name in allowed)
    word = declared.family
    if word is not None and backbone(word).name not in allowed:
        raise CheckpointMismatch(
            f"You say {BACKBONES[word].title}, but the weights are for {titles}.",
            hint="Choose the family that the file was made for.",
        )
    named = hints.family
    if named is not None and named not in allowed and hints.family_from == "file name":
        raise CheckpointMismatch(
            f"Its file name says {BACKBONES[named].title}, but the weights are for {titles}.",
            hint="The file is mislabelled; rename it after checking where it came from.",
        )
    if len(allowed) == 1:
        return allowed[0], "weights"
    if named is not None and named in allowed:
        if word is not None and word != named and hints.family_from == "file name":
            raise CheckpointMismatch(
                f"You say {BACKBONES[word].title}, but its file name says "
                f"{BACKBONES[named].title}.",
                hint="A wrong latent family is silent and ruins the picture; rename the file if "
                "the name is wrong.",
            )
        return (word, "your word") if word is not None else (named, hints.family_from)
    if word is not None:
        return word, "your word"
    raise CheckpointMismatch(
        f"The weights fit {titles}, and neither the file's name nor its folders' names say which.",
        hint="Put the family into the file's name, or name it.",
    )
