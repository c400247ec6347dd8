# SPDX-License-Identifier: Apache-2.0
"""What all tests rely on."""

import signal

# Started in the background of a script, a process inherits an ignored SIGINT, and with it every
# program that the tests start: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
