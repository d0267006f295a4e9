"""The Train page in a real browser: an adapter is trained, the gallery indexed, and searched."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from aina_core.embedding import load_embedder
from aina_core.gallery import create, update
from aina_core.models import DEFAULT

pytestmark = pytest.mark.browser
WAIT = 60_000
JOB = 3 * WAIT  # seconds on a machine that does nothing else


@pytest.fixture
def small_gallery(server, photo_set, monkeypatch):
    """A gallery of 40 small pictures of ten labels in the server's home."""
    monkeypatch.setenv("AINA_HOME", str(server[1]))
    gallery = create("small", photo_set)
    update(gallery, load_embedder(DEFAULT, device="cpu"))
    return gallery.name


def test_an_adapter_is_trained_indexed_and_searched_by(visit, small_gallery):
    page = visit(f"/train?gallery={small_gallery}")
    page.get_by_role("textbox", name="Name of the new model").fill("mine")
    page.get_by_text("the same label", exact=True).click()
    page.get_by_text("Settings", exact=True).click()
    for name, number in (("Epochs", "4"), ("Judged by changes", "2")):
        box = page.get_by_role("spinbutton", name=name)
        box.fill(number)
        box.press("Enter")
        expect(box).to_have_value(number)
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("mine is being trained").first).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("button", name="Stop training")).to_be_visible(timeout=WAIT)

    page.get_by_role("button", name="Index it by mine").click(timeout=JOB)
    plot = page.get_by_test_id("plot").first
    plot.locator("xpath=self::*[@data-drawn]").wait_for(timeout=WAIT)
    expect(plot).to_contain_text("held-out retrieval")
    expect(page.get_by_text("originals that training has not seen")).to_be_visible()

    page.locator(".st-key-train-use-Search button").click(timeout=JOB)
    page.get_by_test_id("card").first.wait_for(timeout=WAIT)
    expect(page).to_have_url(re.compile(f"gallery={small_gallery}&model=mine&"))
    expect(page.get_by_text("of 39 images").first).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
