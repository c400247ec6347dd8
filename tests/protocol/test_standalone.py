# SPDX-License-Identifier: Apache-2.0
"""The packages in a bare Python: isolated, without site-packages, nothing done at import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.broker import Broker

TREE = Path(__file__).parents[2] / "protocol"
MODULES = sorted(
    ".".join(path.relative_to(TREE).with_suffix("").parts)
    for path in TREE.glob("pid_*/*.py")
    if path.stem != "__init__"
)
OTHERS = ("python3.10", "python3.12", "python3.13", "python3.14")


def bare(program: str, *arguments: str, python: str = sys.executable) -> str:
    command = [python, "-I", "-S", "-B", "-W", "error", "-c", program, str(TREE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORTS = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import os, socket, subprocess
def forbidden(*_, **__): raise AssertionError("done at import")
socket.socket.connect = os.mkdir = subprocess.Popen.__init__ = forbidden
before = set(sys.modules)
for name in sys.argv[2:]:
    __import__(name)
assert threading.active_count() == 1
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*(loaded - set(sys.stdlib_module_names)))
"""


@pytest.mark.parametrize("python", [sys.executable, *OTHERS])
def test_every_module_is_imported_and_does_nothing(python: str) -> None:
    if not shutil.which(python) or subprocess.run([python, "-V"], capture_output=True).returncode:
        pytest.skip(f"there is no {python} here")
    assert len(MODULES) > 15
    assert set(bare(IMPORTS, *MODULES, python=python).split()) == {"pid_client", "pid_protocol"}


WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pid_client.job import JobSpec
from pid_client.session import Session
from pid_protocol.pixels import PixelFormat
with Session.connect(client="bare", connection_file=Path(sys.argv[2])) as session:
    job = session.submit(JobSpec("upscale", PixelFormat(300, 200)), bytes(range(250)) * 720)
    assert job.wait(10).pixels == bytes(range(250)) * 720
    job.forget()
print("done")
"""


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_whole_job_is_done(tmp_path: Path, kind: str) -> None:
    with Broker(tmp_path, kind=kind) as broker:
        assert bare(WORK, str(broker.place)) == "done\n"
        assert broker.types == ["hello", "submit", "band", "credit", "forget"]
