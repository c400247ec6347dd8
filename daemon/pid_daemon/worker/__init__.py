# SPDX-License-Identifier: Apache-2.0
"""The worker: one process per device. Holds the models and runs one job at a time.

`loop` talks to the broker, `cache` decides which models stay, `execute` does one job. The main
thread works; a reader thread watches the pipe from the broker, whose end is the worker's end.
"""
