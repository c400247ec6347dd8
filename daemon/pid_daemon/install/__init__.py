# SPDX-License-Identifier: Apache-2.0
"""Putting the plugins into GIMP and Krita, taking them out, and saying where they are.

An installed plugin carries `pid_protocol` and `pid_client`, and `daemon.json`: where the connection
file is and how the daemon is started, because sandboxed editors see another home folder than ours.
"""

from pid_daemon.install.editors import EDITORS, Editor, Profile, profiles_of
from pid_daemon.install.place import Installed, inspect, put, take_out

__all__ = [
    "EDITORS",
    "Editor",
    "Installed",
    "Profile",
    "inspect",
    "profiles_of",
    "put",
    "take_out",
]
