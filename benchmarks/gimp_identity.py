# SPDX-License-Identifier: Apache-2.0
"""How long a 4096 x 4096 RGBA layer takes through the real GIMP and back, by stage.

    python benchmarks/gimp_identity.py [--rounds 5]

The engine is `identity` at the same size, so that everything but the upscaling is measured. Needs
what the tests of the editors need: root and apt-get. First the stages of a run inside a process
that is already there, then a whole call of the procedure, which starts the plug-in's process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.daemon.real_daemon import RealDaemon
from tests.editors import host
from tests.editors.gimp.profile import Gimp

SIDE_PX = 4096
STAGES = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, os.environ["PLUGIN"])
import gi
from gimp_pid.editor import GimpEditor
from pid_client import run, texts
from pid_client.session import Session

NAMES = {texts.READING: "reading", texts.RECEIVING: "receiving", texts.PLACING: "placing"}
side, now = int(os.environ["SIDE"]), time.perf_counter
image = Gimp.Image.new(side, side, Gimp.ImageBaseType.RGB)
layer = Gimp.Layer.new(image, "large", side, side, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
image.insert_layer(layer, None, 0)
layer.get_buffer().set(Gegl.Rectangle.new(0, 0, side, side), "R'G'B'A u8", os.urandom(side * side * 4))
layer.get_buffer().flush()
rounds = []
for _ in range(int(os.environ["ROUNDS"])):
    marks = {"start": now()}
    session = Session.connect(client="gimp")
    marks["connect"] = now()
    editor = GimpEditor(image, [layer])
    for event in run.run(editor, session, "enhance", {"engine": "identity"}, wait_s=0.05):
        if isinstance(event, run.Update):
            marks.setdefault(NAMES.get(event.text, "queued"), now())
    marks["end"] = now()
    editor.close()
    session.close()
    image.remove_layer(image.get_layers()[0])
    rounds.append({
        "connect": marks["connect"] - marks["start"],
        "read and send": marks["queued"] - marks["connect"],
        "daemon": marks["receiving"] - marks["queued"],
        "receive": marks["placing"] - marks["receiving"],
        "place": marks["end"] - marks["placing"],
        "all": marks["end"] - marks["start"],
    })
procedure = Gimp.get_pdb().lookup_procedure("plug-in-pid-enhance")
calls = []
for _ in rounds:
    config = procedure.create_config()
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    config.set_property("engine", "identity")
    began = now()
    assert procedure.run(config).index(0) == Gimp.PDBStatusType.SUCCESS, Gimp.get_pdb().get_last_error()
    calls.append(now() - began)
    image.remove_layer(image.get_layers()[0])
Path(os.environ["REPORT"]).write_text(json.dumps({"rounds": rounds, "calls": calls}))
"""  # noqa: E501


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ["PID_TEST_EDITORS"] = "1"
    if reason := host.why_not():
        sys.exit(reason)
    host.make_chroot()
    with tempfile.TemporaryDirectory(dir=host.SHARE) as folder:
        daemon = RealDaemon(Path(folder))
        daemon.start()
        try:
            daemon.warm_up()
            found = _measure(daemon, Path(folder), rounds)
        finally:
            daemon.stop()
    load = os.getloadavg()[0]
    print(
        f"{SIDE_PX} x {SIDE_PX} RGBA u8, {rounds} rounds, {os.cpu_count()} cores, load {load:.1f}"
    )
    print(f"{'stage':<16}{'best':>8}{'median':>8}  s")
    for stage in found["rounds"][0]:
        _line(stage, [one[stage] for one in found["rounds"]])
    _line("procedure call", found["calls"])


def _measure(daemon: RealDaemon, folder: Path, rounds: int) -> dict[str, list]:
    gimp = Gimp("benchmark", daemon.place)
    report = folder / "report.json"
    said = gimp.batch(
        STAGES,
        PLUGIN=str(gimp.note.parent),
        SIDE=str(SIDE_PX),
        ROUNDS=str(rounds),
        REPORT=str(report),
    )
    if not report.exists():
        sys.exit(said)
    return json.loads(report.read_text())


def _line(name: str, seconds: list[float]) -> None:
    print(f"{name:<16}{min(seconds):>8.3f}{statistics.median(seconds):>8.3f}")


if __name__ == "__main__":
    main()
