# SPDX-License-Identifier: Apache-2.0
"""An upscale from a picture's own samples to an answer of the same kind: everything around the
engine."""

from pid_core.upscale.run import Progress, UpscaleResult, engine_options, upscale

__all__ = ["Progress", "UpscaleResult", "engine_options", "upscale"]
