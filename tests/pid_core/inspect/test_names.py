# SPDX-License-Identifier: Apache-2.0
"""What names say. The file's own name goes before its folders'."""

from __future__ import annotations

from pathlib import Path

import pytest

from pid_core.inspect.names import read_names

CASES = [
    # path, family, where, to_4k, v1.5, teacher
    ("PiD_res2k_sr4x_official_flux_distill_4step/m.pth", "flux", "folder name", False, None, False),
    ("PiD_v1pt5_res2kto4k_sr4x_official_flux2_undistilled/m.pth", "flux2", "folder name",
     True, True, True),
    ("PiD_res2k_sr8x_official_siglip_distill_4step/m.pth", "siglip", "folder name",
     False, None, False),
    ("pid_1.5_flux1_1024_to_4096_4step_bf16.safetensors", "flux", "file name", True, True, False),
    ("pid_1.5_qwenimage_1024_to_4096_bf16.safetensors", "qwenimage", "file name", True, True, True),
    ("pid_flux2_1024_to_4096_4step_2606_bf16.safetensors", "flux2", "file name", True, None, False),
    ("pid_sd3_512_to_2048_4step_bf16.safetensors", "sd3", "file name", False, None, False),
    ("pid_flux_2k.safetensors", "flux", "file name", False, None, None),
    ("pid_flux_2kto4k_v1pt5.safetensors", "flux", "file name", True, True, None),
    ("pid_flux2_2kto4k.safetensors", "flux2", "file name", True, None, None),
    ("split_files/vae/flux2-vae.safetensors", "flux2", "file name", None, None, None),
    ("sd3_vae/vae/diffusion_pytorch_model.safetensors", "sd3", "folder name", None, None, None),
    ("models--black-forest-labs--FLUX.2-klein-4B/snapshots/a/vae/x.safetensors", "flux2",
     "folder name", None, None, None),
    ("models--black-forest-labs--FLUX.1-dev/snapshots/a/ae.safetensors", "flux",
     "folder name", None, None, None),
    ("z_image_turbo_bf16.safetensors", "flux", "file name", None, None, None),
    ("wan_2.1_vae.safetensors", "qwenimage", "file name", None, None, None),
    ("flux/sdxl_vae.safetensors", "sdxl", "file name", None, None, None),
    ("mystery/model.safetensors", None, "", None, None, None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case[0][-40:] for case in CASES])
def test_names(case: tuple) -> None:
    path, family, source, to_4k, is_v15, is_teacher = case
    hints = read_names(Path("/models") / path)
    assert (hints.family, hints.family_from) == (family, source)
    assert (hints.to_4k, hints.is_v15, hints.is_teacher) == (to_4k, is_v15, is_teacher)
