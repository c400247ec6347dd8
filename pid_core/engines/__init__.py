# SPDX-License-Identifier: Apache-2.0
"""Engines: `base` says what one is, `registry` names them all; one file for each."""
