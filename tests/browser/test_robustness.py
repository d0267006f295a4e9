"""The Robustness page in a real browser: a study is run, a cell is opened, a pair goes along."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
WAIT = 30_000
# The middle of a cell of the heat table, in pixels of the figure.
CELL = """(plot, [row, column]) => {
  const { xaxis: x, yaxis: y } = plot._fullLayout;
  return [x._offset + x.d2p(column), y._offset + y.d2p(row)];
}"""


def test_a_study_is_run_and_a_pair_of_a_cell_is_compared(visit):
    page = visit("/robustness?gallery=demo")
    page.get_by_text("No study of modifications was run").wait_for(timeout=WAIT)
    number = page.get_by_role("spinbutton", name="Originals")
    number.fill("3")
    number.press("Enter")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("efficientnet-lite0 separates with AUC").first.wait_for(timeout=4 * WAIT)
    plot = page.get_by_test_id("plot").first
    plot.locator("xpath=self::*[@data-drawn]").wait_for(timeout=WAIT)
    plot.scroll_into_view_if_needed()
    x, y = plot.evaluate(CELL, [0, 14])
    box = plot.bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(page.get_by_test_id("plot-tooltip").first).to_contain_text("mirrored", timeout=WAIT)
    page.mouse.click(box["x"] + x, box["y"] + y)
    page.get_by_role("heading", name="mirrored under efficientnet-lite0").wait_for(timeout=WAIT)
    # the heading comes before the pairs; a card of the pairs before would go when they come
    page.wait_for_timeout(500)
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=WAIT)

    version = page.get_by_test_id("card").nth(1)
    image = version.locator("img")
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("complete", True, timeout=WAIT)
    assert image.evaluate("one => one.naturalWidth") > 100, "made when the browser asked for it"
    version.hover()
    version.get_by_test_id("card-compare").click()
    page.get_by_role("heading", name="Compare").wait_for(timeout=WAIT)
    page.get_by_text("/original.jpg").first.wait_for(timeout=WAIT)
    assert "upload=" in page.url and "reference=" in page.url
