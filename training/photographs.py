# SPDX-License-Identifier: Apache-2.0
"""Gather the photographs that `compact` learns from, out of ordinary Debian packages.

Every picture is named here or in a README inside its package, together with its licence; only
BSD, CC0, CC-BY, CC-BY-SA and public-domain photographs are taken. Nothing reserved for judging
(GCompris's farm_animals and world_animals, the scikit-image and scikit-learn pictures) is read.
Writes `photographs/*.npy` (uint8 RGB) and the table `SOURCES.md` into the data folder.
"""

import argparse
import io
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PACKAGES = (
    "enlightenment-data",
    "gcompris-qt-data",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
)
ENLIGHTENMENT = (
    "Bamboo Foggy-Trees God-Rays Green-Maple Lichen-Branches Mountain Peaks Red-Maple "
    "Sea-of-Lanterns Snow-Trees Spruce-Needles Sunset-Clouds Sunset-Hills White-Flower "
    "Yellow-Flower"
).split()
LOMIRI_LEFT_OUT = ("analogpattern", "umang", "Fossa", "Infinite-Sea", "Painting-Colors", "warty")
"""Drawings and heavily processed pictures, by the start of the file name."""
GCOMPRIS = {
    "clickgame": "resource/",
    "erase": "resource/",
    "explore_monuments": "resource/",
    "explore_world_music": "resource/music/",
}
"""Resource file -> the folder inside it whose README states the licences."""
SHRINK_TO_PX = (1920, 1100)
"""Photographs are stored with these longest sides, when they are clearly larger than that."""
FREE_LICENCE = re.compile(r"(CC0|CC-BY(-SA)?|BSD|Public.domain)\b", re.IGNORECASE)

SOURCES_HEAD = """# What `compact.safetensors` was trained on

The weights were trained from scratch by the scripts in `training/` and are licensed under
Apache-2.0. They learned from the photographs below and nothing else: files of Debian packages
(release "bookworm"), with the author, licence and origin that the package states for them. No
picture is part of this repository or of any release.

| package | file | author | licence | origin |
| --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Source:
    """Where one photograph comes from."""

    name: str
    """File name inside its package."""
    package: str
    """Debian package."""
    author: str
    licence: str
    url: str
    """The page that the package names as the origin; empty where it names none."""


def default_data_folder() -> Path:
    """The folder that holds pictures and checkpoints unless `--data` says otherwise."""
    return Path.home() / ".cache" / "pid-layers" / "training"


def unpack(package: str, folder: Path) -> Path:
    """Fetch one Debian package with apt and extract it.

    Args:
        package: binary package name.
        folder: cache folder; the result is `folder/package`.
    Returns:
        The root of the extracted tree; an existing one is used as it is.
    """
    root = folder / package
    if not root.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        archive = next(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
    return root


def read_rcc(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside, bytes) of every file in a compiled Qt resource (format 1 to 3).

    Raises:
        ValueError: not a Qt resource file, or an entry is compressed with Zstandard.
    """
    blob = path.read_bytes()
    if blob[:4] != b"qres":
        raise ValueError(f"{path} starts with {blob[:4]!r}, a Qt resource starts with b'qres'")
    version, tree, data, names = struct.unpack(">IIII", blob[4:20])
    entry_bytes = 22 if version >= 2 else 14

    def walk(index: int, parent: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * entry_bytes
        name_at, flags = struct.unpack(">IH", blob[at : at + 6])
        (length,) = struct.unpack(">H", blob[names + name_at : names + name_at + 2])
        start = names + name_at + 6
        name = blob[start : start + 2 * length].decode("utf-16-be") if index else ""
        if flags & 2:
            count, first = struct.unpack(">II", blob[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, f"{parent}/{name}" if name else parent)
            return
        (data_at,) = struct.unpack(">I", blob[at + 10 : at + 14])
        (size,) = struct.unpack(">I", blob[data + data_at : data + data_at + 4])
        body = blob[data + data_at + 4 : data + data_at + 4 + size]
        if flags & 4:
            raise ValueError(f"{path}: {name} is compressed with Zstandard")
        yield f"{parent}/{name}", zlib.decompress(body[4:]) if flags & 1 else body

    yield from walk(0, "")


def read_readme(text: str) -> dict[str, tuple[str, str, str]]:
    """Parse a GCompris README into file name -> (author, licence, url)."""
    found = {}
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^(Copyright|License|Source): *(.+)$", block, re.MULTILINE))
        row = (fields.get("Copyright", ""), fields.get("License", ""), fields.get("Source", ""))
        for name in re.findall(r"[\w/.-]+\.webp", block):
            found[name] = row
    return found


def enlightenment_photographs(root: Path) -> Iterator[tuple[Source, bytes]]:
    """Yield the largest JPEG stream of each chosen Enlightenment background."""
    for name in ENLIGHTENMENT:
        path = next(root.rglob(f"{name}.edj"))
        blob = path.read_bytes()
        best, best_px = b"", 0
        for match in re.finditer(b"\xff\xd8\xff", blob):
            try:
                size = Image.open(io.BytesIO(blob[match.start() :])).size
            except OSError:
                continue
            if size[0] * size[1] > best_px:
                best, best_px = blob[match.start() :], size[0] * size[1]
        author = "Carsten Haitzler and contributors"
        yield Source(path.name, root.name, author, "BSD-2-Clause", ""), best


def lomiri_photographs(root: Path) -> Iterator[tuple[Source, bytes]]:
    """Yield the Lomiri wallpapers that are photographs, licences from the copyright file."""
    text = next(root.rglob("copyright")).read_text("utf-8")
    stanzas = re.findall(r"Files: \S+/(\S+)\nCopyright: (.+)\nLicense: (\S+)", text)
    for name, author, licence in stanzas:
        if name.startswith(LOMIRI_LEFT_OUT):
            continue
        for path in root.rglob(name):
            yield Source(name, root.name, author, licence, ""), path.read_bytes()


def gcompris_photographs(root: Path) -> Iterator[tuple[Source, bytes]]:
    """Yield the GCompris photographs whose README states a free licence."""
    for activity, folder in GCOMPRIS.items():
        files = dict(read_rcc(next(root.rglob(f"rcc/{activity}.rcc"))))
        base = next(name for name in files if name.endswith("/README"))[: -len("README")]
        if not base.endswith(folder):
            raise ValueError(f"{activity}: the README lies in {base}, expected .../{folder}")
        for name, (author, licence, url) in read_readme(files[base + "README"].decode()).items():
            blob = files.get(base + name)
            if (
                blob
                and FREE_LICENCE.match(licence)
                and min(Image.open(io.BytesIO(blob)).size) > 400
            ):
                yield Source(f"{activity}/{name}", root.name, author, licence, url), blob


def shrink(image: Image.Image, longest_px: int) -> Image.Image:
    """Shrink so that the longest side is `longest_px`; large factors go through a box filter."""
    factor = longest_px / max(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def sources_table(sources: list[Source]) -> str:
    """Return the Markdown page that lies beside the weights."""
    rows = [
        f"| {one.package} | {one.name} | {one.author} | {one.licence} | {one.url} |"
        for one in sorted(sources, key=lambda one: (one.package, one.name))
    ]
    return "\n".join([SOURCES_HEAD, *rows]) + "\n"


def main() -> None:
    """Write the pictures and their sources into the data folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=default_data_folder())
    parser.add_argument("--packages", type=Path, help="folder with extracted packages")
    arguments = parser.parse_args()
    readers = {
        "enlightenment-data": enlightenment_photographs,
        "gcompris-qt-data": gcompris_photographs,
    }
    folder = arguments.data / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for package in PACKAGES:
        root = unpack(package, arguments.packages or arguments.data / "packages")
        for source, blob in readers.get(package, lomiri_photographs)(root):
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(blob))).convert("RGB")
            stem = f"{package}-{source.name}".replace("/", "-")
            sides = [side for side in SHRINK_TO_PX if side * 1.3 < max(image.size)]
            for index, side in enumerate(sides or [max(image.size)]):
                pixels = np.asarray(shrink(image, side) if sides else image)
                np.save(folder / f"{stem}.{index}.npy", pixels)
            sources.append(source)
    (arguments.data / "SOURCES.md").write_text(sources_table(sources), "utf-8")
    print(f"{len(sources)} photographs in {folder}")  # noqa: T201


if __name__ == "__main__":
    main()
