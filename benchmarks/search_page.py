"""How long from an upload to its neighbours on the screen, in a real browser?

    python -m benchmarks.search_page [--images 10000] [--uploads 9]

Two galleries, the demo and one of many random crops of its photographs (`--images` of them); a
server and a headless Chromium on this machine. An upload's time runs from handing the file to the
browser until a card of its result is on the screen; the galleries alternate, the first upload to
each, which opens it, is reported apart.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from aina_core import demo, images

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--uploads", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "AINA_HOME": str(Path(folder, "home"))}
        write_crops(Path(folder, "crops"), options.images)
        for command in (["demo"], ["index", str(Path(folder, "crops")), "--gallery", "many"]):
            subprocess.run(
                [sys.executable, "-m", "aina_core", *command], env=environment, check=True
            )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            times = measure(f"http://127.0.0.1:{port}", options.uploads)
        finally:
            server.terminate()
            server.wait()
    for gallery, taken in times.items():
        print(
            f"{gallery}: first {taken[0]:.2f} s; then median {statistics.median(taken[1:]):.2f} s, "
            f"slowest {max(taken[1:]):.2f} s of {len(taken) - 1}"
        )


def _sources() -> list[Image.Image]:
    return [images.read_image(photograph.path()) for photograph in demo.PHOTOGRAPHS]


def _crop(source: Image.Image, rng: np.random.Generator, side: int) -> Image.Image:
    width, height = (int(size * rng.uniform(0.3, 0.9)) for size in source.size)
    x, y = rng.integers(source.width - width + 1), rng.integers(source.height - height + 1)
    part = source.crop((x, y, x + width, y + height))
    part.thumbnail((side, side))
    return part


def write_crops(folder: Path, count: int) -> None:
    """Write small JPEGs of random crops, the same ones each time."""
    folder.mkdir()
    rng, sources = np.random.default_rng(0), _sources()
    for number in range(count):
        _crop(sources[number % len(sources)], rng, 288).save(folder / f"{number:06}.jpg")


def measure(address: str, uploads: int) -> dict[str, list[float]]:
    """Upload new pictures to both galleries in turn; seconds of each."""
    from playwright.sync_api import sync_playwright

    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    rng, sources = np.random.default_rng(1), _sources()
    times: dict[str, list[float]] = {"demo": [], "many": []}
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        pages = {name: browser.new_page() for name in times}
        for name, page in pages.items():
            page.goto(f"{address}/?gallery={name}")
            page.get_by_test_id("card").first.wait_for(timeout=60_000)
        for number in range(uploads + 1):
            for name, page in pages.items():
                data = io.BytesIO()
                _crop(sources[number % len(sources)], rng, 1024).save(data, "JPEG", quality=90)
                times[name].append(_upload(page, data.getvalue(), f"{number}.jpg"))
                time.sleep(1)
        browser.close()
    return times


def _upload(page, data: bytes, name: str) -> float:
    """Seconds from the upload to the cards of its result, which stand under another picture."""
    read = "all => all.map(card => card.dataset.id).join()"
    url, shown = page.url, page.get_by_test_id("card").evaluate_all(read)
    started = time.perf_counter()
    field = page.locator("input[type=file]").first
    field.set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": data})
    while time.perf_counter() - started < 60:
        if page.url != url:
            now = page.get_by_test_id("card").evaluate_all(read)
            if now and now != shown:
                return time.perf_counter() - started
        page.wait_for_timeout(10)
    raise TimeoutError("the result did not appear within a minute")


if __name__ == "__main__":
    main()
