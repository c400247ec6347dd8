# SPDX-License-Identifier: Apache-2.0
"""The import directions of the architecture, read from the sources by `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"pid_protocol", "pid_client", "pid_core", "pid_daemon", "pid_krita", "gimp_pid"}
HOSTS = {"gi", "krita", "PyQt5", "PyQt6"}

ALLOWED_OURS = {
    "protocol/pid_protocol": set[str](),
    "protocol/pid_client": {"pid_protocol"},
    "pid_core": {"pid_core"},
    "daemon/pid_daemon": {"pid_protocol", "pid_core", "pid_daemon"},
    "gimp_plugin": {"pid_protocol", "pid_client", "gimp_pid"},
    "krita_plugin": {"pid_protocol", "pid_client", "pid_krita"},
}
"""Packages of ours that each tree may import (its own by relative import or by name)."""

STDLIB_ONLY = {
    "protocol/pid_protocol": set[str](),
    "protocol/pid_client": set[str](),
    "gimp_plugin": {"gi"},
    "krita_plugin": {"krita", "PyQt5", "PyQt6"},
}
"""Trees without third-party packages, and the host's own modules that they may use."""

CLIENT_IN_DAEMON = ("cli", "files", "install", "demo.py")
"""Parts of the daemon's tree that are clients; the rest may use the options table alone."""

CORE_IN_BROKER = ("pid_core.plan", "pid_core.inspect", "pid_core.errors")
"""What of the core the daemon may import outside its worker."""


def sources(tree: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / tree).rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Absolute dotted names with their lines; relative imports stay inside and are left out."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("tree", ALLOWED_OURS)
def test_trees_import_only_what_lies_below_them(tree: str) -> None:
    own = Path(tree).name
    wrong = [
        f"{where(path, line)} imports {name}"
        for path, module in sources(tree)
        for name, line in imports(module)
        if (top := name.partition(".")[0]) in OURS - {own} - ALLOWED_OURS[tree]
        and not (tree == "daemon/pid_daemon" and top == "pid_client")
    ]
    assert wrong == []


def test_the_daemon_uses_the_client_only_where_it_is_one() -> None:
    base = ROOT / "daemon/pid_daemon"
    wrong = [
        f"{where(path, line)} imports {name}"
        for path, module in sources("daemon/pid_daemon")
        for name, line in imports(module)
        if name.partition(".")[0] == "pid_client"
        and not name.startswith("pid_client.options")
        and path.relative_to(base).parts[0] not in CLIENT_IN_DAEMON
    ]
    assert wrong == []


def test_only_the_worker_imports_the_whole_core() -> None:
    base = ROOT / "daemon/pid_daemon"
    wrong = [
        f"{where(path, line)} imports {name}"
        for path, module in sources("daemon/pid_daemon")
        for name, line in imports(module)
        if name.partition(".")[0] == "pid_core"
        and not name.startswith(CORE_IN_BROKER)
        and path.relative_to(base).parts[0] not in ("worker", "worker.py")
    ]
    assert wrong == []


@pytest.mark.parametrize("tree", STDLIB_ONLY)
def test_plugin_side_needs_no_third_party_package(tree: str) -> None:
    allowed = set(sys.stdlib_module_names) | OURS | STDLIB_ONLY[tree]
    wrong = [
        f"{where(path, line)} imports {name}"
        for path, module in sources(tree)
        for name, line in imports(module)
        if name.partition(".")[0] not in allowed
    ]
    assert wrong == []


def test_pid_protocol_imports_its_own_modules_relatively() -> None:
    """Plugins carry a copy; a copy that imported by name could mix with another one."""
    wrong = [
        f"{where(path, line)} imports {name}"
        for path, module in sources("protocol/pid_protocol")
        for name, line in imports(module)
        if name.partition(".")[0] == "pid_protocol"
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["pid_core.plan", "pid_core.inspect", "pid_client", "pid_core"])
def test_importing_it_does_not_import_torch(package: str) -> None:
    code = f"import {package}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
