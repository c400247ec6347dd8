# SPDX-License-Identifier: Apache-2.0
"""Decoding a latent of any size: windows over one noise field and one state."""
