"""How fast do files become committed vectors, compared with the loop a user would write?

    python -m benchmarks.embedding [--images 256] [--rounds 3]

Photographs of about one megapixel (crops of those in scikit-image and scikit-learn, JPEG 90). The
loop: Pillow decode, torchvision transform, eager fp32, batches of 32, one process. Ours: the update
of a gallery, from the first file to the commit, once making thumbnails and once with thumbnails
made before. Each measurement is a process of its own; the rounds alternate, the medians count.
Loading the model is reported apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from aina_core import demo, images, models
from aina_core.embedding import load_embedder
from aina_core.gallery import create, update

MODEL = "efficientnet-lite0"
_PIXELS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_MEASURES[options.measure](options.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder, "images"), options.images)
        for name in _MEASURES:  # fills the caches: files, bytecode, the converted model
            _run(name, folder)
        runs = {name: [] for name in _MEASURES}
        for _ in range(options.rounds):
            for name in _MEASURES:
                runs[name].append(_run(name, folder))
    _report(runs, options.images)


def write_photographs(folder: Path, count: int) -> None:
    """Write JPEGs of about one megapixel, the same ones each time."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sources = [images.read_image(photograph.path()) for photograph in demo.PHOTOGRAPHS]
    for number in range(count):
        source = sources[number % len(sources)]
        share = rng.uniform(0.5, 1)
        width, height = int(source.width * share), int(source.height * share)
        x, y = rng.integers(source.width - width + 1), rng.integers(source.height - height + 1)
        scale = (_PIXELS / (width * height)) ** 0.5
        size = (round(width * scale), round(height * scale))
        part = source.crop((x, y, x + width, y + height)).resize(size, Image.Resampling.LANCZOS)
        part.save(folder / f"{number:05}.jpg", quality=90)


def measure_loop(folder: Path) -> dict[str, float]:
    """The loop that a user would write."""
    import torch
    from torchvision import transforms

    started = time.perf_counter()
    spec = models.get(MODEL)
    network = models.load_network(spec)
    recipe = spec.recipe
    transform = transforms.Compose(
        [
            transforms.Resize(recipe.resize, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(recipe.crop),
            transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std),
        ]
    )
    loaded = time.perf_counter()
    files, rows = sorted((folder / "images").iterdir()), []
    with torch.no_grad():
        for start in range(0, len(files), 32):
            opened = [Image.open(file).convert("RGB") for file in files[start : start + 32]]
            batch = torch.stack([transform(image) for image in opened])
            rows.append(torch.nn.functional.normalize(network(batch)).numpy())
    np.save(folder / "loop.npy", np.concatenate(rows))
    return _measured(len(files), loaded - started, time.perf_counter() - loaded)


def _measure_gallery(folder: Path, model: str, thumbnails: bool) -> dict[str, float]:
    started = time.perf_counter()
    embedder = load_embedder(model)
    loaded = time.perf_counter()
    os.environ["AINA_HOME"] = str(folder / "home")
    gallery = create("bench", folder / "images")
    if thumbnails:
        gallery.delete()
        gallery = create("bench", folder / "images")
    elif model in gallery.models():
        gallery.delete_model(model)
    begun = time.perf_counter()
    report = update(gallery, embedder)
    seconds = time.perf_counter() - begun
    count = report.added + report.updated
    if model == MODEL and (folder / "loop.npy").exists():
        matrix, loop = gallery.vectors(model).matrix, np.load(folder / "loop.npy")
        cosine = float(np.einsum("ij,ij->i", matrix, loop).min())
        return _measured(count, loaded - started, seconds) | {"lowest_cosine": cosine}
    return _measured(count, loaded - started, seconds)


def _measured(count: int, load: float, seconds: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"load": load, "rate": count / seconds, "peak_mb": peak}


_MEASURES = {
    "loop": measure_loop,
    "exact, with thumbnails": lambda folder: _measure_gallery(folder, MODEL, True),
    "exact": lambda folder: _measure_gallery(folder, MODEL, False),
    "fast": lambda folder: _measure_gallery(folder, f"{MODEL}@fast", False),
}


def _run(name: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.embedding", "--measure", name, "--folder", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _report(runs: dict[str, list[dict[str, float]]], count: int) -> None:
    print(f"{count} photographs of 1 megapixel, {MODEL}, {len(os.sched_getaffinity(0))} cores")
    print(f"{'':24}{'images/s':>10}{'x loop':>8}{'load s':>8}{'peak MB':>9}{'min cosine':>12}")
    loops = [run["rate"] for run in runs["loop"]]
    for name, done in runs.items():
        rate, load, peak = (
            statistics.median(run[key] for run in done) for key in ("rate", "load", "peak_mb")
        )
        ratio = statistics.median(run["rate"] / loop for run, loop in zip(done, loops, strict=True))
        cosine = min((run.get("lowest_cosine", np.nan) for run in done), default=np.nan)
        shown = "" if np.isnan(cosine) else f"{cosine:.5f}"
        print(f"{name:24}{rate:10.1f}{ratio:8.1f}{load:8.1f}{peak:9.0f}{shown:>12}")


if __name__ == "__main__":
    main()
