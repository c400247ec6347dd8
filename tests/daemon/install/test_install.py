# SPDX-License-Identifier: Apache-2.0
"""The plugins' installer in temporary homes, with small stand-ins for the plugin trees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pid_daemon.install import EDITORS, Profile, inspect, kritarc, place, profiles_of, put, take_out
from pid_daemon.install import editors as editors_module
from pid_daemon.install.editors import GIMP, KRITA, Editor
from pid_daemon.install.trees import files_of
from pid_daemon.install.zips import make_zip
from pid_protocol import PROGRAM_VERSION

CONNECTION = Path("/somewhere/connection.json")


@pytest.fixture(autouse=True)
def plugin_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A minimal tree for each editor, and no editor running."""
    trees = tmp_path / "trees"
    for path, text in {
        "gimp/pid_gimp.py": "#!/usr/bin/env python3\n",
        "gimp/gimp_pid/__init__.py": "",
        "gimp/__pycache__/pid_gimp.pyc": "no",
        "krita/pid_krita/__init__.py": "VERSION = 1\n",
        "krita/pid_krita/docker/__init__.py": "",
        "krita/pid_krita.desktop": "[Desktop Entry]\n",
        "krita/pid_krita.action": "<ActionCollection/>\n",
    }.items():
        (trees / path).parent.mkdir(parents=True, exist_ok=True)
        (trees / path).write_text(text)

    def tree_of(editor: Editor) -> Path:
        return trees / editor.name

    monkeypatch.setattr("pid_daemon.install.trees._tree_of", tree_of)
    monkeypatch.setattr(place, "is_running", lambda editor: False)
    return trees


def gimp_home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for folder in (".config/GIMP/2.10", ".config/GIMP/3.0", ".config/GIMP/3.2",
                   ".var/app/org.gimp.GIMP/config/GIMP/3.0"):  # fmt: skip
        (home / folder).mkdir(parents=True)
    return home


def test_every_profile_of_gimp_3_is_found(tmp_path: Path) -> None:
    home = gimp_home(tmp_path)
    found = profiles_of(GIMP, home)
    assert [p.label for p in found] == ["GIMP 3.0", "GIMP 3.2", "GIMP 3.0 (flatpak)"]
    assert found[0].folder == home / ".config/GIMP/3.0/plug-ins/pid_gimp"


def test_the_gimp_plugin_is_complete_and_executable(tmp_path: Path) -> None:
    profile = profiles_of(GIMP, gimp_home(tmp_path))[0]
    put(profile, CONNECTION)
    folder = profile.folder
    assert os.access(folder / "pid_gimp.py", os.X_OK)
    assert not os.access(folder / "gimp_pid/__init__.py", os.X_OK)
    assert (folder / "pid_protocol/messages.py").is_file()
    assert (folder / "pid_client/options.py").is_file()
    assert not list(folder.rglob("__pycache__"))
    note = json.loads((folder / "daemon.json").read_text())
    assert note["connection_file"] == str(CONNECTION)
    serve = [sys.executable, "-m", "pid_daemon.cli.main", "serve"]
    assert note["launch"] == [*serve, "--connection-file", str(CONNECTION)]
    assert Path(note["launch"][0]).is_absolute()
    assert note["version"] == PROGRAM_VERSION


def test_the_shared_packages_work_from_the_plugin_alone(tmp_path: Path) -> None:
    profile = profiles_of(GIMP, gimp_home(tmp_path))[0]
    put(profile, CONNECTION)
    code = (
        f"import sys; sys.path.insert(0, {str(profile.folder)!r})\n"
        "import pid_client.run, pid_client.session, pid_client.options as o; print(o.__file__)"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert ran.stdout.startswith(str(profile.folder)), ran.stderr


def test_installing_again_replaces_and_leaves_nothing_old(
    tmp_path: Path, plugin_trees: Path
) -> None:
    profile = profiles_of(GIMP, gimp_home(tmp_path))[0]
    put(profile, CONNECTION)
    first = sorted(profile.root.rglob("*"))
    put(profile, CONNECTION)
    assert sorted(profile.root.rglob("*")) == first
    found = inspect(profile)
    assert found is not None and found.matches and found.version == PROGRAM_VERSION
    (profile.folder / "left_over.py").touch()
    (plugin_trees / "gimp/gimp_pid/__init__.py").write_text("new = 1\n")
    changed = inspect(profile)
    assert changed is not None and not changed.matches
    put(profile, CONNECTION)
    assert not (profile.folder / "left_over.py").exists()
    assert (profile.folder / "gimp_pid/__init__.py").read_text() == "new = 1\n"


def test_taking_out_leaves_other_plugins_alone(tmp_path: Path) -> None:
    profile = profiles_of(GIMP, gimp_home(tmp_path))[0]
    other = profile.root / "other/other.py"
    other.parent.mkdir(parents=True)
    other.touch()
    put(profile, CONNECTION)
    assert take_out(profile)
    assert not take_out(profile)
    assert list(profile.root.iterdir()) == [other.parent]
    assert inspect(profile) is None


def krita_home(tmp_path: Path, settings: str | None) -> tuple[Path, Path]:
    home = tmp_path / "home"
    (home / ".local/share/krita").mkdir(parents=True)
    rc = home / ".config/kritarc"
    rc.parent.mkdir(parents=True)
    if settings is not None:
        rc.write_text(settings)
    return home, rc


def test_the_krita_plugin_lies_where_krita_looks_and_is_enabled(tmp_path: Path) -> None:
    before = "[theme]\nTheme=Krita dark\n\n[python]\nenable_other=true\n"
    home, rc = krita_home(tmp_path, before)
    (profile,) = profiles_of(KRITA, home)
    notes = put(profile, CONNECTION)
    root = home / ".local/share/krita"
    assert (root / "pykrita/pid_krita.desktop").is_file()
    assert (root / "actions/pid_krita.action").is_file()
    assert (root / "pykrita/pid_krita/docker/__init__.py").is_file()
    assert (root / "pykrita/pid_krita/lib/pid_protocol/messages.py").is_file()
    assert kritarc.is_enabled(rc) and "enabled" in notes[0]
    assert "enable_other=true" in rc.read_text() and "Theme=Krita dark" in rc.read_text()
    put(profile, CONNECTION)
    assert rc.read_text().count("enable_pid_krita") == 1
    assert take_out(profile)
    assert rc.read_text() == before
    assert [p for p in root.rglob("*") if p.is_file()] == []


def test_a_running_krita_is_told_what_to_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rc = krita_home(tmp_path, None)
    monkeypatch.setattr(place, "is_running", lambda editor: True)
    (profile,) = profiles_of(KRITA, home)
    assert "Tick" in put(profile, CONNECTION)[0]
    assert not rc.exists()


def test_a_settings_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    home, rc = krita_home(tmp_path, None)
    put(profiles_of(KRITA, home)[0], CONNECTION)
    assert rc.read_text() == "[python]\nenable_pid_krita=true\n"


@pytest.mark.parametrize("editor", EDITORS.values(), ids=list(EDITORS))
def test_into_any_folder(tmp_path: Path, editor: Editor) -> None:
    profile = Profile(editor, tmp_path / "anywhere" / "deep", editor.label)
    assert put(profile, CONNECTION)
    found = inspect(profile)
    assert found is not None and found.matches


def test_environment_variables_move_our_own_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c/GIMP/3.0").mkdir(parents=True)
    (tmp_path / "d/krita").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [p.root for p in profiles_of(GIMP)] == [tmp_path / "c/GIMP/3.0/plug-ins"]
    (krita,) = profiles_of(KRITA)
    assert (krita.root, krita.settings) == (tmp_path / "d/krita", tmp_path / "c/kritarc")


def test_zips_have_the_plugin_at_the_top(tmp_path: Path) -> None:
    with zipfile.ZipFile(make_zip(KRITA, tmp_path)) as archive:
        names = archive.namelist()
        assert "pid_krita.desktop" in names and "actions/pid_krita.action" in names
        assert "pid_krita/lib/pid_client/options.py" in names
    with zipfile.ZipFile(make_zip(GIMP, tmp_path)) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
        assert modes["pid_gimp/pid_gimp.py"] == 0o755
        assert modes["pid_gimp/pid_protocol/limits.py"] == 0o644
    assert make_zip(GIMP, tmp_path).read_bytes() == make_zip(GIMP, tmp_path).read_bytes()


def test_a_running_editor_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        def __init__(self, name: str) -> None:
            self.info = {"name": name}

    monkeypatch.setattr("psutil.process_iter", lambda _: [Process("bash"), Process("krita")])
    assert editors_module.is_running(KRITA)
    assert not editors_module.is_running(GIMP)


def test_files_have_unique_targets() -> None:
    for editor in EDITORS.values():
        targets = [file.target for file in files_of(editor)]
        assert len(set(targets)) == len(targets)
