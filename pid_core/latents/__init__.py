# SPDX-License-Identifier: Apache-2.0
"""From a picture to the latent that PiD reads: VAEs of the five families, and their normalisations.

diffusers takes seconds to import, so it is imported where a VAE is built and nowhere else.
"""
