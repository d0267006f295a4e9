"""The heat map in a real browser: pointing, clicking, and the link to what was clicked."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
WAIT = 20_000
LABELS = ["coffee", "brick", "chelsea", "astronaut"]


def at_rest(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)


def cell(page: Page, row: int, column: int) -> tuple[float, float]:
    """Where a cell of the heat map is on the screen, once it is drawn."""
    plot = page.locator("[data-testid=plot][data-drawn]").first
    plot.wait_for(timeout=WAIT)
    at_rest(page)
    plot.scroll_into_view_if_needed()
    return tuple(
        plot.evaluate(
            """(plot, [row, column]) => {
                const box = plot.getBoundingClientRect();
                const { xaxis, yaxis } = plot._fullLayout;
                return [
                    box.x + xaxis._offset + xaxis.d2p(column),
                    box.y + yaxis._offset + yaxis.d2p(row),
                ];
            }""",
            [row, column],
        )
    )


def shows_pair(page: Page, *ids: str) -> None:
    """The pair of these image ids is open: the first two cards, once all cards are drawn."""
    cards = page.get_by_test_id("card")
    for place, image_id in enumerate(ids):
        expect(cards.nth(place)).to_have_attribute("data-id", image_id, timeout=WAIT)


def test_pointing_shows_both_pictures_and_a_click_opens_the_pair_that_a_link_shows(visit):
    page = visit("/heatmap?gallery=demo&image=chelsea/original.jpg")
    x, y = cell(page, 2, 14)
    page.mouse.move(x - 3.0, y)
    page.mouse.move(x, y)
    tooltip = page.get_by_test_id("plot-tooltip").first
    expect(tooltip).to_be_visible(timeout=WAIT)
    expect(tooltip.locator("img")).to_have_count(2)
    for image in tooltip.locator("img").all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    text = tooltip.inner_text()
    assert "chelsea/bordered-fff.jpg" in text and "chelsea/filtered-lofi.jpg" in text
    shown = float(re.findall(r"\d\.\d{3}", text)[-1])
    assert 0 < shown < 1

    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile("reference=chelsea%2Ffiltered-lofi.jpg"), timeout=WAIT)
    wanted = ["chelsea/bordered-fff.jpg", "chelsea/filtered-lofi.jpg"]
    shows_pair(page, *wanted)
    number = page.get_by_test_id("stMetricValue").first
    expect(number).to_have_text(f"{shown:.3f}")

    other = visit(page.url)
    shows_pair(other, *wanted)
    expect(other.get_by_test_id("stMetricValue").first).to_have_text(number.inner_text())
    expect(other.locator("[data-testid=stException]")).to_have_count(0)


def test_four_labels_clustered_and_the_downloads(visit):
    labels = json.dumps(LABELS).replace('"', "%22").replace(" ", "")
    page = visit(f"/heatmap?gallery=demo&heatmap.set=labels&heatmap.labels={labels}")
    cell(page, 0, 0)
    plot = page.get_by_test_id("plot").first
    before = plot.get_attribute("data-drawn")
    page.get_by_text("clustered", exact=True).click()
    expect(plot).not_to_have_attribute("data-drawn", before or "", timeout=WAIT)
    expect(page).to_have_url(re.compile("heatmap.order=cluster"))
    at_rest(page)
    page.get_by_text("76 images").wait_for(timeout=WAIT)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").first.get_by_role("button").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 77 and lines[0].count(",") == 77
    with page.expect_download() as picture:
        plot.hover()
        plot.locator(".modebar-btn").nth(1).click()
    assert picture.value.suggested_filename == "heatmap-demo.svg"
    assert picture.value.path().read_text().startswith("<svg")
