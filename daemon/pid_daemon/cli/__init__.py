# SPDX-License-Identifier: Apache-2.0
"""The `pid` command: a client like any other, and the way to start and look after the daemon.

Exit codes: 0 all went well; 1 something failed; 2 the command line makes no sense, and nothing was
started; 3 no daemon could be reached; 130 interrupted.
"""
