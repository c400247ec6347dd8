# SPDX-License-Identifier: Apache-2.0
"""PiD in Krita: actions, docker, layers in and out. What GIMP shares is in `pid_client`.

qt          the one Qt binding that Krita loaded
formats     Krita's colour models and PixelFormat
profiles    the bytes of a colour profile, which Krita's API does not hand out
document    `pid_client.editor.Editor`, on a document of Krita
placing     results into documents
runs        runs under way, advanced by a timer
form        widgets from the options table
dialog, docker, split, jobs    what people see
extension   actions and their wiring
"""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_INSTALLED = _FOLDER / "lib"
_CHECKOUT = _FOLDER.parent.parent / "protocol"  # a developer's link
sys.path.append(str(_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT))

from .extension import register  # noqa: E402  # the path has to be set first

register(_FOLDER)
