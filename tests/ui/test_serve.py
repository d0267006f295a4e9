"""The app's server: its settings however it is started, addresses, garbage."""

import asyncio
import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.support.process import ROOT
from ui import serve

PRINTED = "print(get_option('runner.postScriptGC'), get_option('server.address'))"


@pytest.mark.parametrize("start", ["import app", "load_config_options({})"])
def test_the_settings_hold_in_any_folder_and_for_any_server(start, tmp_path, home):
    """`import app` is what an ASGI server does; the other what `streamlit run` does first."""
    code = (
        "from streamlit import config; from streamlit.config import get_option\n"
        "from streamlit.web.bootstrap import load_config_options\n"
        f"config._main_script_path = {str(ROOT / 'app.py')!r}\n"
    )
    code = f"{code if 'load' in start else ''}{start}\nfrom streamlit import get_option\n{PRINTED}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "127.0.0.1"], run.stderr


def test_the_first_page_has_an_address_of_its_own():
    client = TestClient(Starlette(routes=serve.ROUTES), follow_redirects=False)
    moved = client.get("/search?k=7&image=a%20b")
    assert moved.is_redirect and moved.headers["location"] == "./?k=7&image=a%20b"
    assert client.get("/search").headers["location"] == "./"


def test_garbage_is_collected_once_after_reruns(monkeypatch):
    monkeypatch.setattr(serve, "_QUIET", 0.01)
    monkeypatch.setattr(serve, "_COLLECT_EVERY", 0.0)
    collected = []
    watch = lambda phase, info: collected.append(phase) if info["generation"] == 2 else None  # noqa: E731

    async def run():
        task = asyncio.create_task(serve.collect_garbage())
        serve.note_rerun()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if collected:
                break
        task.cancel()

    gc.callbacks.append(watch)
    try:
        with ThreadPoolExecutor(1) as thread:  # where no browser's loop runs
            thread.submit(asyncio.run, run()).result()
    finally:
        gc.callbacks.remove(watch)
    assert collected
