# SPDX-License-Identifier: Apache-2.0
"""Before and after in one picture, parted by a line that the mouse or the arrow keys move."""

from __future__ import annotations

from typing import Any

from pid_client import texts

from .qt import QtCore, QtGui, QtWidgets

_KEY_STEP = 0.05


class Split(QtWidgets.QWidget):
    """Two pictures of the same thing; left of the line the first, right of it the second."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._before: Any = None
        self._after: Any = None
        self._line = 0.5
        self.setMinimumHeight(160)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(f"{texts.BEFORE} / {texts.AFTER}")
        self.setToolTip(texts.SPLIT_TOOLTIP)

    def show_pictures(self, before: Any, after: Any) -> None:
        """Show two QImages; `after` may be None while there is none."""
        self._before, self._after = before, after
        self.update()

    def paintEvent(self, _event: Any) -> None:
        """Draw what there is."""
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), self.palette().base())
        picture = self._after if self._after is not None else self._before
        if picture is None:
            painter.setPen(self.palette().placeholderText().color())
            centre = QtCore.Qt.AlignmentFlag.AlignCenter
            painter.drawText(self.rect(), int(centre), texts.NO_PREVIEW)
            return
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        frame = self._frame(picture)
        painter.drawImage(frame, picture)
        if self._before is not None and self._after is not None:
            self._draw_before(painter, frame)

    def mousePressEvent(self, event: Any) -> None:
        """Move the line."""
        self._move_to(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Move the line."""
        self._move_to(event)

    def keyPressEvent(self, event: Any) -> None:
        """Left and right move the line."""
        steps = {QtCore.Qt.Key.Key_Left: -_KEY_STEP, QtCore.Qt.Key.Key_Right: _KEY_STEP}
        if event.key() in steps:
            self._set_line(self._line + steps[event.key()])
        else:
            super().keyPressEvent(event)

    def _draw_before(self, painter: Any, frame: Any) -> None:
        x = frame.left() + round(frame.width() * self._line)
        painter.save()
        painter.setClipRect(
            QtCore.QRect(frame.left(), frame.top(), x - frame.left(), frame.height())
        )
        painter.drawImage(frame, self._before)
        painter.restore()
        for colour, width in ((QtCore.Qt.GlobalColor.black, 3), (QtCore.Qt.GlobalColor.white, 1)):
            painter.setPen(QtGui.QPen(QtGui.QColor(colour), width))
            painter.drawLine(x, frame.top(), x, frame.bottom())

    def _frame(self, picture: Any) -> Any:
        size = picture.size().scaled(self.size(), QtCore.Qt.AspectRatioMode.KeepAspectRatio)
        corner = QtCore.QPoint(
            (self.width() - size.width()) // 2, (self.height() - size.height()) // 2
        )
        return QtCore.QRect(corner, size)

    def _move_to(self, event: Any) -> None:
        picture = self._after if self._after is not None else self._before
        if picture is not None:
            point = event.position() if hasattr(event, "position") else event.pos()
            frame = self._frame(picture)
            self._set_line((point.x() - frame.left()) / max(1, frame.width()))

    def _set_line(self, line: float) -> None:
        self._line = min(1.0, max(0.0, line))
        self.update()


def image_of(width: int, height: int, rgb: bytes) -> Any:
    """A QImage of RGB bytes; it owns its pixels."""
    kind = QtGui.QImage.Format.Format_RGB888
    return QtGui.QImage(rgb, width, height, 3 * width, kind).copy()
