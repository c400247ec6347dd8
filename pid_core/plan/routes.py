# SPDX-License-Identifier: Apache-2.0
"""The ways in which an engine's fixed factor meets the factor that is wanted."""

NATIVE = "native"
"""The engine's factor is the answer's."""
SHRINK = "shrink"
"""The source is made smaller first."""
AREA = "area"
"""The engine's output is averaged down."""
TWICE = "twice"
"""Two passes."""
RESAMPLE = "resample"
"""The engine's output is resampled."""
ROUTES = (NATIVE, SHRINK, AREA, TWICE, RESAMPLE)
