# SPDX-License-Identifier: Apache-2.0
"""`python -m pid_daemon.install.zips OUT`: the plugins as zip archives.

Krita's "Import Python Plugin from File" takes its one; GIMP's is unpacked into a plug-ins folder.
Neither carries a `daemon.json`: the plugins look for the daemon at its usual place.
"""

from __future__ import annotations

import stat
import sys
import zipfile
from pathlib import Path, PurePosixPath

import click

from pid_daemon.install.editors import EDITORS, Editor
from pid_daemon.install.trees import files_of
from pid_protocol import PROGRAM_VERSION

_TIME = (1980, 1, 1, 0, 0, 0)
"""The same contents make the same archive."""


def make_zip(editor: Editor, out: Path) -> Path:
    """Pack one plugin.

    Returns:
        The archive's path.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"pid-{editor.name}-{PROGRAM_VERSION}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_of(editor):
            entry = zipfile.ZipInfo(str(_inside(file.target)), _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = stat.S_IFREG | (0o755 if file.executable else 0o644)
            entry.external_attr = mode << 16
            archive.writestr(entry, file.source.read_bytes())
    return path


def _inside(target: PurePosixPath) -> PurePosixPath:
    """Krita's importer wants the plugin's folder at the top."""
    return target.relative_to("pykrita") if target.parts[0] == "pykrita" else target


def main() -> None:
    """Pack all plugins into the folder that is named."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m pid_daemon.install.zips OUT")
    for editor in EDITORS.values():
        click.echo(make_zip(editor, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
