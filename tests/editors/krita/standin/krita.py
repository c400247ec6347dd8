# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Krita's module under PyQt6, which refuses PyQt5 as Krita 6 does: enough of the API
for the docker, the dialog and one document of 8-bit layers.
"""

import sys

from PyQt6 import QtCore, QtGui, QtWidgets

if "PyQt5.QtCore" in sys.modules:
    raise ImportError("PyQt5 was imported into a program of Qt 6")


class Node:
    def __init__(self, name, width, height, pixels=None):
        self._name, self._size = name, (width, height)
        self.pixels = bytearray(pixels or bytes(width * height * 4))
        self.parent, self.children = None, []
        self._id = QtCore.QUuid.createUuid()

    def name(self):
        return self._name

    def setName(self, name):
        self._name = name

    def type(self):
        return "paintlayer"

    def uniqueId(self):
        return self._id

    def locked(self):
        return False

    def animated(self):
        return False

    def visible(self):
        return True

    def opacity(self):
        return 255

    def setOpacity(self, value):
        pass

    def blendingMode(self):
        return "normal"

    def colorModel(self):
        return "RGBA"

    def colorDepth(self):
        return "U8"

    def colorProfile(self):
        return "sRGB-elle-V2-srgbtrc.icc"

    def bounds(self):
        return QtCore.QRect(0, 0, *self._size)

    def projectionPixelData(self, x, y, width, height):
        assert (x, width) == (0, self._size[0])
        row = width * 4
        return QtCore.QByteArray(bytes(self.pixels[y * row : (y + height) * row]))

    def setPixelData(self, data, x, y, width, height):
        row = self._size[0] * 4
        assert (x, width) == (0, self._size[0]) and len(data) == width * height * 4
        self.pixels[y * row : (y + height) * row] = bytes(data)
        return True

    def parentNode(self):
        return self.parent

    def childNodes(self):
        return list(self.children)

    def addChildNode(self, node, above):
        node.parent = self
        index = self.children.index(above) + 1 if above in self.children else len(self.children)
        self.children.insert(index, node)
        return True


class Document:
    def __init__(self, width, height, pixels):
        self._size = (width, height)
        self._root = Node("root", 0, 0)
        self._active = Node("Background", width, height, pixels)
        self._root.addChildNode(self._active, None)
        self._annotations = {}

    def rootNode(self):
        return self._root

    def activeNode(self):
        return self._active

    def setActiveNode(self, node):
        self._active = node

    def width(self):
        return self._size[0]

    def height(self):
        return self._size[1]

    def selection(self):
        return None

    def createNode(self, name, kind):
        assert kind == "paintlayer"
        return Node(name, *self._size)

    def nodeByUniqueID(self, name):
        found = [node for node in self._root.children if node.uniqueId() == name]
        return found[0] if found else None

    def refreshProjection(self):
        pass

    def projection(self, x, y, width, height):
        whole = QtGui.QImage(
            bytes(self._active.pixels), *self._size, QtGui.QImage.Format.Format_ARGB32
        )
        return whole.copy(x, y, width, height)

    def annotationTypes(self):
        return list(self._annotations)

    def annotation(self, name):
        return QtCore.QByteArray(self._annotations[name])

    def setAnnotation(self, name, description, data):
        self._annotations[name] = bytes(data)


class View:
    def selectedNodes(self):
        document = Krita.instance().activeDocument()
        return [document.activeNode()] if document else []

    def showFloatingMessage(self, text, icon, milliseconds, priority):
        pass


class Window:
    def __init__(self):
        self._window = QtWidgets.QMainWindow()
        self.actions = {}

    def qwindow(self):
        return self._window

    def activeView(self):
        return View()

    def createAction(self, name, text, place):
        assert place == "filter"
        self.actions[name] = QtGui.QAction(text, self._window)
        return self.actions[name]


class Notifier(QtCore.QObject):
    applicationClosing = QtCore.pyqtSignal()

    def setActive(self, is_active):
        pass


class Krita(QtCore.QObject):
    _one = None

    @classmethod
    def instance(cls):
        cls._one = cls._one or cls()
        return cls._one

    def __init__(self):
        super().__init__()
        self._settings, self._documents = {}, []
        self.window, self._notifier = Window(), Notifier()
        self.extensions, self.factories = [], []

    def activeDocument(self):
        return self._documents[-1] if self._documents else None

    def documents(self):
        return list(self._documents)

    def open(self, document):
        self._documents.append(document)

    def activeWindow(self):
        return self.window

    def notifier(self):
        return self._notifier

    def readSetting(self, group, name, default):
        return self._settings.get((group, name), default)

    def writeSetting(self, group, name, value):
        self._settings[group, name] = value

    def icon(self, name):
        return QtGui.QIcon()

    def addExtension(self, extension):
        self.extensions.append(extension)

    def addDockWidgetFactory(self, factory):
        self.factories.append(factory)


class Extension(QtCore.QObject):
    pass


class DockWidget(QtWidgets.QDockWidget):
    pass


class DockWidgetFactoryBase:
    DockRight = 1


class DockWidgetFactory:
    def __init__(self, name, area, kind):
        self.name, self.kind = name, kind


class InfoObject:
    def setProperty(self, name, value):
        raise NotImplementedError("the stand-in exports nothing")
