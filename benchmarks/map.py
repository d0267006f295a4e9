"""How many bytes does a map take, and how long until it is on the screen and until it can be moved?

    python -m benchmarks.map [--points 10000 100000 1000000] [--dims 2]

Galleries of made-up vectors whose images exist in name only, a server and a headless Chromium on
this machine, without a GPU unless `--gpu` lets the browser have it. The PCA map is computed before.
The first visit opens the gallery and the map on the server; the second, in a new browser, finds
them open. "Sent" is what the second browser receives to draw the points: coordinates, categories
and similarities; a change of the query sends the similarities again, and the figure. "Moving" is
how many frames a second are drawn while the mouse drags the map for a second.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aina_core import models
from aina_core.gallery import open_gallery
from aina_core.projection import Settings, project
from aina_core.search.searcher import Searcher
from benchmarks.synthetic import clusters, gallery_of

_DIM = 16
_GROUPS = 12
_WAIT = 600_000
# Frames while the mouse drags, counted by the browser.
_FRAMES = """() => new Promise((done) => {
    let frames = 0;
    const until = performance.now() + 1000;
    const count = () => {
        frames += 1;
        performance.now() < until ? requestAnimationFrame(count) : done(frames);
    };
    requestAnimationFrame(count);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dims", type=int, choices=[2, 3], default=2)
    parser.add_argument("--gpu", action="store_true", help="let the browser use the GPU")
    options = parser.parse_args()
    settings = Settings("pca", dims=options.dims)
    with tempfile.TemporaryDirectory() as home:
        os.environ["AINA_HOME"] = home
        for count in options.points:
            _make(count, settings)
        with _server() as address:
            for count in options.points:
                link = f"{address}/map?gallery=g{count}&map.method=pca&map.dims={options.dims}"
                for visit in ("first", "second"):
                    measured = _visit(link, gpu=options.gpu)
                    print(
                        f"{count:>9,} points, {visit} visit: {_line(measured, count)}", flush=True
                    )


def _make(count: int, settings: Settings) -> None:
    started = time.perf_counter()
    vectors, groups = clusters(count, _DIM, groups=_GROUPS)
    labels = [f"group {group}" for group in groups]
    gallery = gallery_of(f"g{count}", models.DEFAULT, vectors, labels)
    project(gallery, models.DEFAULT, settings)
    Searcher(open_gallery(gallery.name), models.DEFAULT)  # its index is stored
    seconds = time.perf_counter() - started
    print(f"{count:>9,} points: gallery, index and map in {seconds:.0f} s", flush=True)


@contextmanager
def _server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def _visit(link: str, *, gpu: bool) -> dict[str, Any]:
    """Open a map in a browser of its own, and move it."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-background-networking"]
    flags += ["--use-angle=vulkan", "--enable-gpu"] if gpu else ["--disable-gpu"]
    path = os.environ.get("AINA_BROWSER") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        addresses: dict[str, str] = {}
        sizes: dict[str, int] = {}
        socket_bytes = [0]
        session.on(
            "Network.responseReceived",
            lambda event: addresses.update({event["requestId"]: event["response"]["url"]}),
        )
        session.on(
            "Network.loadingFinished",
            lambda event: sizes.update({event["requestId"]: int(event["encodedDataLength"])}),
        )
        session.on(
            "Network.webSocketFrameReceived",
            lambda event: socket_bytes.append(_payload(event["response"])),
        )
        started = time.perf_counter()
        page.goto(link)
        plot = page.locator("[data-testid=map][data-drawn]")
        plot.wait_for(timeout=_WAIT)
        painted = time.perf_counter() - started
        note = page.get_by_test_id("map-note").inner_text()
        page.wait_for_timeout(1000)
        result = {
            "seconds": painted,
            "data": sum(size for key, size in sizes.items() if "/map/" in addresses.get(key, "")),
            "socket": sum(socket_bytes),
            "frames": _drag(page, plot),
            "note": note,
        }
        browser.close()
    return result


def _payload(frame: dict[str, Any]) -> int:
    """Bytes of a frame; those of a binary one are given as base64."""
    length = len(frame["payloadData"])
    return length if frame["opcode"] == 1 else length * 3 // 4


def _drag(page: Any, plot: Any) -> int:
    plot.evaluate("(plot) => window.Plotly.relayout(plot, {dragmode: 'pan'})")
    page.wait_for_timeout(500)
    box = plot.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(f"window.frames_drawn = ({_FRAMES})(); 0")
    end = time.perf_counter() + 1.0
    step = 0
    while time.perf_counter() < end:
        step += 1
        page.mouse.move(x + 3 * step % 200, y + 2 * step % 120)
    frames = page.evaluate("window.frames_drawn")
    page.mouse.up()
    return int(frames)


def _line(measured: dict[str, Any], count: int) -> str:
    data = measured["data"]
    return (
        f"on the screen after {measured['seconds']:.1f} s, {data / 1e6:.2f} MB of points "
        f"({data / count:.1f} bytes each), {measured['socket'] / 1e3:.0f} kB by websocket, "
        f"moving at {measured['frames']} frames/s. {measured['note']}"
    )


if __name__ == "__main__":
    main()
