# SPDX-License-Identifier: Apache-2.0
"""A complete small set of files: PiD network, VAE and caption encoder, as a user's folder has them.

`write_set(folder)` is all that a test of the daemon or the command line needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.pid_core import synthetic, synthetic_text, synthetic_vae


@dataclass(frozen=True)
class PidSet:
    """Where the files lie."""

    folder: Path
    weights: Path
    vae: Path
    text_encoder: Path


_FILES = {
    # family: (released network, file name of the network, file name of the VAE, its layout)
    "flux": (synthetic.V15_FLUX, "pid_1.5_flux1_1024_to_4096_4step_bf16", "ae", "ldm"),
    "flux2": (synthetic.V15_FLUX2, "pid_1.5_flux2_1024_to_4096_4step_bf16", "flux2_ae", "ldm"),
    "sdxl": (
        "PiD_res2kto4k_sr4x_official_sdxl_distill_4step",
        "pid_sdxl_1024_to_4096_4step_bf16",
        "sdxl_vae",
        "ldm",
    ),
    "qwenimage": (
        "PiD_v1pt5_res2kto4k_sr4x_official_qwenimage_distill_4step",
        "pid_1.5_qwenimage_1024_to_4096_4step_bf16",
        "qwen_image_vae",
        "wan",
    ),
}


def write_set(
    folder: Path, family: str = "flux", *, undistilled: bool = False, quantised: str = ""
) -> PidSet:
    """Write a set in ComfyUI's folder tree.

    Args:
        folder: becomes a model folder.
        family: `flux`, `flux2`, `sdxl` or `qwenimage`.
        undistilled: name the network as a teacher's file is named.
        quantised: one of `synthetic.KINDS`; empty = bfloat16.
    """
    network, name, vae, layout = _FILES[family]
    if undistilled:
        name = name.replace("_4step", "_undistilled")
    tensors, prefix = synthetic.network(network, small=True), "net."
    if quantised:  # prefixed already
        tensors, prefix = synthetic.quantise(tensors, quantised)[0], ""
    weights = synthetic.save_comfy(
        tensors, folder / "diffusion_models" / f"{name}.safetensors", prefix
    )
    return PidSet(
        folder,
        weights,
        synthetic_vae.save(
            synthetic_vae.vae(family), folder / "vae" / f"{vae}.safetensors", layout
        ),
        synthetic_text.save_single_file(
            synthetic_text.gemma(), folder / "text_encoders" / "gemma_2_2b_it_elm_bf16.safetensors"
        ),
    )
