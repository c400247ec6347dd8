# SPDX-License-Identifier: Apache-2.0
"""Networks, engines and pixel work of PiD Layers.

Torch and the field's libraries live here; nothing of the protocol, the daemon or the plugins is
imported.
`pid_core.plan` and `pid_core.inspect` are torch-free: the broker uses them to answer before a
worker exists.
"""
