# SPDX-License-Identifier: Apache-2.0
"""What every client shares: session, options table, job building, the use case, texts, the `Editor`
interface.

Standard library and `pid_protocol` only: this package runs inside Krita's and GIMP's own Pythons.
"""
