"""A real server, a real browser, the demo gallery with real weights."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _browser() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = (shutil.which(name) for name in names)
    return os.environ.get("AINA_BROWSER") or next(filter(None, found), None)


@pytest.fixture(scope="session")
def chromium():
    """The browser; its absence is a failure only where it is required."""
    path = _browser()
    if path is None:
        if os.environ.get("AINA_BROWSER_REQUIRED"):
            pytest.fail("no Chromium or Chrome was found, and AINA_BROWSER_REQUIRED is set")
        pytest.skip("no Chromium or Chrome was found")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory, demo_home):
    """The app on a free port over a home of its own; yields its address and the home."""
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "AINA_HOME": str(home), "AINA_ROOTS": str(home.parent)}
    shutil.copytree(demo_home, home, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    yield address, home
    process.terminate()
    process.wait(20)


@pytest.fixture
def visit(chromium, server):
    """Open an address of the app in a browser of one's own; fails on requests to other hosts."""
    contexts = []
    foreign = []

    def open_page(path: str = "/", **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda request: (
                foreign.append(request.url)
                if not request.url.startswith((server[0], "data:", "blob:"))
                else None
            ),
        )
        page.goto(path if path.startswith("http") else server[0] + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not foreign, f"the app asked other hosts: {foreign}"
