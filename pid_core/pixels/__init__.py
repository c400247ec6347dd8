# SPDX-License-Identifier: Apache-2.0
"""Pixels as documents hold them: sample formats, colour profiles, alpha, resampling, the colour lock."""
