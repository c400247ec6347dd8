# SPDX-License-Identifier: Apache-2.0
"""Widgets from the options table: one for each row, advanced ones folded away."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from pid_client import texts
from pid_client.options import BY_NAME, Option, options_for

from .qt import QtCore, QtWidgets, Signal

_SLIDER_STEPS = 100


class Row(QtWidgets.QWidget):
    """The widget of one row."""

    changed = Signal()

    def __init__(self, option: Option, parent: Any = None) -> None:
        super().__init__(parent)
        self.option = option
        self._line = QtWidgets.QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        self.setToolTip(option.help)
        self._build()
        self.value = option.default

    @property
    def value(self) -> Any:
        """What is entered, in the row's own type."""
        return self.option.default

    @value.setter
    def value(self, value: Any) -> None:
        raise TypeError("a kind of row has to say how it shows its value")

    def _build(self) -> None:
        raise TypeError("a kind of row has to build its widgets")

    def _add(self, widget: Any, signal: Any) -> Any:
        widget.setAccessibleName(self.option.label)
        widget.setMinimumWidth(40)  # a narrow docker stays readable
        signal.connect(lambda *_: self.changed.emit())
        self._line.addWidget(widget, 1)
        return widget


class FlagRow(Row):
    """On or off."""

    def _build(self) -> None:
        box = QtWidgets.QCheckBox(self.option.label)
        self._box = self._add(box, box.toggled)

    @property
    def value(self) -> bool:
        return bool(self._box.isChecked())

    @value.setter
    def value(self, value: bool) -> None:
        self._box.setChecked(value)


class ChoiceRow(Row):
    """One of several texts."""

    def _build(self) -> None:
        box = QtWidgets.QComboBox()
        box.addItems(self.option.choices)
        if self.option.name == "placement":
            index = self.option.choices.index("grow")
            box.setItemData(index, texts.GROW_TOOLTIP, QtCore.Qt.ItemDataRole.ToolTipRole)
        self._box = self._add(box, box.currentIndexChanged)

    @property
    def value(self) -> str:
        return str(self._box.currentText())

    @value.setter
    def value(self, value: str) -> None:
        if value not in self.option.choices:  # a hidden choice, set by a script
            self._box.addItem(value)
        self._box.setCurrentText(value)


class TextRow(Row):
    """Free text."""

    def _build(self) -> None:
        edit = QtWidgets.QLineEdit()
        edit.setPlaceholderText(self.option.help)
        self._edit = self._add(edit, edit.textChanged)

    @property
    def value(self) -> str:
        return str(self._edit.text())

    @value.setter
    def value(self, value: str) -> None:
        self._edit.setText(value)


class IntRow(Row):
    """A whole number; the seed has a die beside it."""

    def _build(self) -> None:
        box = QtWidgets.QSpinBox()
        box.setRange(int(self.option.low or 0), int(self.option.high or 0))
        self._box = self._add(box, box.valueChanged)
        if self.option.name == "seed":
            die = QtWidgets.QToolButton()
            die.setText("⚄")
            die.setToolTip(texts.ROLL_SEED)
            die.setAccessibleName(texts.ROLL_SEED)
            die.clicked.connect(lambda: self._box.setValue(random.randrange(1 << 31)))
            self._line.addWidget(die)

    @property
    def value(self) -> int:
        return int(self._box.value())

    @value.setter
    def value(self, value: int) -> None:
        self._box.setValue(value)


class NumberRow(Row):
    """A number; with a slider when its range is 0 to 1."""

    def _build(self) -> None:
        low, high = float(self.option.low or 0), float(self.option.high or 0)
        box = QtWidgets.QDoubleSpinBox()
        box.setRange(low, high)
        box.setDecimals(2)
        box.setSingleStep(0.05 if high <= 1 else 0.5)
        self._slider = None
        if (low, high) == (0.0, 1.0):
            self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
            self._slider.setRange(0, _SLIDER_STEPS)
            self._slider.setAccessibleName(self.option.label)
            self._slider.valueChanged.connect(lambda v: box.setValue(v / _SLIDER_STEPS))
            box.valueChanged.connect(lambda v: self._slider.setValue(round(v * _SLIDER_STEPS)))
            self._line.addWidget(self._slider, 2)
        self._box = self._add(box, box.valueChanged)

    @property
    def value(self) -> float:
        return float(self._box.value())

    @value.setter
    def value(self, value: float) -> None:
        self._box.setValue(value)


def row_for(option: Option) -> Row:
    """The widget that fits a row of the table."""
    if option.choices:
        return ChoiceRow(option)
    return {bool: FlagRow, int: IntRow, float: NumberRow, str: TextRow}[option.type](option)


class Form(QtWidgets.QWidget):
    """All rows of one kind of job."""

    changed = Signal()
    """Some value is new."""

    def __init__(self, kind: str, parent: Any = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self._rows = {option.name: row_for(option) for option in options_for(kind)}
        whole = QtWidgets.QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addLayout(self._grid(advanced=False))
        self._fold = QtWidgets.QToolButton()
        self._fold.setText(texts.ADVANCED)
        self._fold.setCheckable(True)
        self._fold.setArrowType(QtCore.Qt.ArrowType.RightArrow)
        self._fold.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.setAutoRaise(True)
        whole.addWidget(self._fold)
        self._advanced = QtWidgets.QWidget()
        self._advanced.setLayout(self._grid(advanced=True))
        self._advanced.setVisible(False)
        self._fold.toggled.connect(self._unfold)
        whole.addWidget(self._advanced)
        for row in self._rows.values():
            row.changed.connect(self.changed)

    def values(self) -> dict[str, Any]:
        """Every row's value."""
        return {name: row.value for name, row in self._rows.items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; rows that are not named stay as they are."""
        for name, value in values.items():
            if name in self._rows:
                self._rows[name].value = value

    def _grid(self, *, advanced: bool) -> Any:
        grid = QtWidgets.QFormLayout()
        grid.setRowWrapPolicy(QtWidgets.QFormLayout.RowWrapPolicy.WrapLongRows)
        grid.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, row in self._rows.items():
            option = BY_NAME[name]
            if option.advanced == advanced:
                if option.type is bool:
                    grid.addRow(row)
                else:
                    label = QtWidgets.QLabel(option.label)
                    label.setToolTip(option.help)
                    grid.addRow(label, row)
        return grid

    def _unfold(self, is_open: bool) -> None:
        arrow = QtCore.Qt.ArrowType.DownArrow if is_open else QtCore.Qt.ArrowType.RightArrow
        self._fold.setArrowType(arrow)
        self._advanced.setVisible(is_open)
