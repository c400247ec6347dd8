# SPDX-License-Identifier: Apache-2.0
"""The Qt binding that Krita itself loaded: two Qts in one process crash, so it is never guessed."""

import sys

if "PyQt6.QtCore" in sys.modules:
    from PyQt6 import QtCore, QtGui, QtWidgets
else:
    from PyQt5 import QtCore, QtGui, QtWidgets

Signal = QtCore.pyqtSignal

__all__ = ["QtCore", "QtGui", "QtWidgets", "Signal"]
