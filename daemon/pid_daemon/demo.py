# SPDX-License-Identifier: Apache-2.0
"""`make demo`: upscale a photograph 4x through the daemon, and draw before and after side by side.

    python -m pid_daemon.demo [PICTURE]

Without a picture, a photograph is taken that scikit-image ships.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

from pid_client import launch
from pid_client.job import Finished, JobSpec
from pid_client.options import UPSCALE
from pid_daemon import files
from pid_daemon.cli import exits, inputs, results, texts
from pid_daemon.cli.connect import connection_file
from pid_daemon.cli.progress import show, view_for
from pid_daemon.files.comparison import comparison
from pid_daemon.files.picture import Pixels
from pid_daemon.install.place import launch_command
from pid_protocol.errors import InvalidImage, PidError

PHOTOGRAPH = "data/chelsea.png"
"""Inside scikit-image: a cat, 451 x 300 px, CC0, by Stéfan van der Walt."""
OUT = Path("out/demo")


def photograph() -> Path:
    """The picture that an installed dependency ships.

    Raises:
        InvalidImage: it is not installed.
    """
    found = importlib.util.find_spec("skimage")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder) / PHOTOGRAPH
        if path.is_file():
            return path
    raise InvalidImage(
        "scikit-image, which ships the demo's photograph, is not installed.",
        "Install pid-layers[demo], or name a picture of yours.",
    )


def demo(path: Path, out: Path = OUT) -> tuple[Path, Path]:
    """Upscale a picture and draw the comparison.

    Returns:
        The result and the comparison.
    Raises:
        PidError: something went wrong; the message says what.
    """
    source = files.read(path)
    out.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    finished = _upscaled(source, path.name)
    seconds = time.monotonic() - began_s

    ending = path.suffix if path.suffix.lower() in files.FORMATS[0].suffixes else ".png"
    target = out / f"{path.stem}-4x{ending}"
    results.save(
        finished,
        target,
        request=inputs.Request(UPSCALE, {}).of(path),
        metadata=source.metadata,
        quality=None,
    )
    before, after = _rgb(source.pixels), _rgb(files.read(target).pixels)
    sheet = out / f"{path.stem}-before-after.png"
    engine = str(finished.record.get("engine", ""))
    comparison(
        before,
        after,
        f"{path.name}, 4x by {engine}",
        # the sheet's font has no multiplication sign
        f"{before.width} x {before.height} px become {after.width} x {after.height} px in "
        f"{texts.duration(seconds)}; Lanczos beside it for comparison",
    ).save(sheet, compress_level=4)
    click.echo(f"{results.summary(target, finished, seconds)}, {texts.size(target.stat().st_size)}")
    click.echo(f"{sheet}  before and after, side by side")
    return target, sheet


def main() -> None:
    """Run the demo and say in one sentence what went wrong, if something did."""
    try:
        demo(Path(sys.argv[1]) if len(sys.argv) > 1 else photograph())
    except PidError as error:
        exits.say(error)
        raise SystemExit(exits.exit_code_of(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(exits.INTERRUPTED) from None


def _upscaled(source: files.SourceImage, title: str) -> Finished:
    with launch.connect(
        client="demo",
        connection_file=connection_file(),
        launch=launch_command(),
        notify=lambda sentence: click.echo(f"{sentence} …") if sentence else None,
    ) as session:
        view = view_for(1, quiet=False)
        view.begin(0, title)
        try:
            spec = JobSpec(UPSCALE, source.format, icc=source.icc or None, title=title)
            job = session.submit(spec, source.tobytes())
            for event in job.events():
                if isinstance(event, Finished):
                    job.forget()
                    return event
                show(view, 0, event)
        finally:
            view.close()
    raise AssertionError("events() ends with Finished or an error")


def _rgb(pixels: Pixels) -> Image.Image:
    """Eight bits of red, green and blue, to look at."""
    if pixels.dtype.kind == "f":
        unit = np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1)
        pixels = np.rint(unit * 255).astype(np.uint8)
    elif pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


if __name__ == "__main__":
    main()
