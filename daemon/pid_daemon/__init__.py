# SPDX-License-Identifier: Apache-2.0
"""The daemon: a broker without torch, one worker process per device, and the command line."""
