# SPDX-License-Identifier: Apache-2.0
"""The editors, and where their profiles lie on each system."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_GIMP_VERSION = re.compile(r"3\.\d+")


@dataclass(frozen=True)
class Editor:
    """One program that takes a plugin."""

    name: str
    """What the command line calls it."""
    label: str
    """What people call it."""
    folder: str
    """The plugin's folder inside a profile, as a relative path."""
    loose: tuple[tuple[str, str], ...]
    """Further files: from the plugin tree, to the profile, both relative."""
    library: str
    """Where inside the plugin's folder the shared packages lie. Krita's plugins share one
    interpreter, so theirs lie in a folder that holds nothing else and can be put on its path."""
    executable: str
    """File inside the plugin's folder that has to be executable; empty = none."""
    processes: tuple[str, ...]
    """How the running program's process name starts."""
    missing: str
    """What to do when no profile is found."""


GIMP = Editor(
    "gimp",
    "GIMP",
    "pid_gimp",
    (),
    "",
    "pid_gimp.py",
    ("gimp",),
    "Start GIMP 3 once, or name its plug-ins folder with --into.",
)
KRITA = Editor(
    "krita",
    "Krita",
    "pykrita/pid_krita",
    (
        ("pid_krita.desktop", "pykrita/pid_krita.desktop"),
        ("pid_krita.action", "actions/pid_krita.action"),
    ),
    "lib",
    "",
    ("krita",),
    "Start Krita once, or name its resource folder with --into.",
)
EDITORS = {editor.name: editor for editor in (GIMP, KRITA)}
"""All editors by name."""


@dataclass(frozen=True)
class Profile:
    """A place where an editor looks for plugins."""

    editor: Editor
    """Whose it is."""
    root: Path
    """GIMP: the plug-ins folder. Krita: the resource folder."""
    label: str
    """Which one it is: `GIMP 3.0`, `Krita (flatpak)`."""
    settings: Path | None = None
    """Krita's kritarc; None = not known."""

    @property
    def folder(self) -> Path:
        """Where the plugin's folder is, or would be."""
        return self.root / self.editor.folder


def profiles_of(editor: Editor, home: Path | None = None) -> list[Profile]:
    """Every profile of an editor that exists in a home folder, ours when none is named."""
    find = _gimp if editor is GIMP else _krita
    found = {profile.root.resolve(): profile for profile in find(home)}
    return list(found.values())


def is_running(editor: Editor) -> bool:
    """Whether a process of that editor is there; only a hint, so refusals count as no."""
    for process in psutil.process_iter(["name"]):
        name = str(process.info.get("name") or "").lower()
        if name.startswith(editor.processes):
            return True
    return False


def _gimp(home: Path | None) -> Iterator[Profile]:
    places = [(place / "GIMP", suffix) for place, suffix in _config_places(home, "org.gimp.GIMP")]
    base = home or Path.home()
    places += [(snap / ".config/GIMP", " (snap)") for snap in base.glob("snap/gimp/current")]
    for place, suffix in places:
        for version in sorted(place.glob("3.*")):
            if version.is_dir() and _GIMP_VERSION.fullmatch(version.name):
                yield Profile(GIMP, version / "plug-ins", f"GIMP {version.name}{suffix}")


def _krita(home: Path | None) -> Iterator[Profile]:
    base = home or Path.home()
    configs = dict((suffix, place) for place, suffix in _config_places(home, "org.kde.krita"))
    places = [
        (_own(home, "XDG_DATA_HOME", base / ".local/share"), configs[""], ""),
        (base / ".var/app/org.kde.krita/data", configs[" (flatpak)"], " (flatpak)"),
        *(
            (snap / ".local/share", snap / ".config", " (snap)")
            for snap in base.glob("snap/krita/current")
        ),
    ]
    if sys.platform == "darwin":
        places = [(base / "Library/Application Support", base / "Library/Preferences", "")]
    elif sys.platform == "win32":
        roaming = _own(home, "APPDATA", base / "AppData/Roaming")
        places = [(roaming, roaming.parent / "Local", "")]
    for data, settings, suffix in places:
        if (data / "krita").is_dir() or (settings / "kritarc").is_file():
            yield Profile(KRITA, data / "krita", f"Krita{suffix}", settings / "kritarc")


def _config_places(home: Path | None, flatpak: str) -> list[tuple[Path, str]]:
    base = home or Path.home()
    if sys.platform == "darwin":
        own = base / "Library/Application Support"
    elif sys.platform == "win32":
        own = _own(home, "APPDATA", base / "AppData/Roaming")
    else:
        own = _own(home, "XDG_CONFIG_HOME", base / ".config")
    return [(own, ""), (base / ".var/app" / flatpak / "config", " (flatpak)")]


def _own(home: Path | None, variable: str, default: Path) -> Path:
    """The place that an environment variable moves; another person's home is not moved by ours."""
    named = os.environ.get(variable) if home is None else None
    return Path(named) if named else default
