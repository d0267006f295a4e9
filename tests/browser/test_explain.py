"""The Explain page in a real browser: from a hit to its maps, a click on a place, a drawn crop."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
WAIT = 30_000
QUERY = "coffee/original.jpg"
COLOURS = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4) seen.add(pixels.slice(i, i + 3).join());
  return seen.size;
}"""


def at_rest(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)


def drawn(picture: Locator) -> bool:
    """Whether a picture has a map on it, of more than a few colours."""
    heat = picture.get_by_test_id("heat-map")
    opacity = float(heat.evaluate("canvas => getComputedStyle(canvas).opacity"))
    return opacity > 0 and heat.evaluate(COLOURS) > 20


def numbers(page: Page, setting: str) -> list[int]:
    """What the address says of a setting."""
    (text,) = parse_qs(urlsplit(page.url).query)[setting]
    return [int(part) for part in text.split(",")]


def test_from_a_hit_to_its_explanation(visit):
    page = visit(f"/?gallery=demo&model=efficientnet-lite0&image={QUERY}&k=6")
    card = page.get_by_test_id("card").nth(2)
    chosen = card.get_attribute("data-id", timeout=WAIT)
    at_rest(page)
    card.hover()
    card.get_by_test_id("card-explain").click()
    expect(page).to_have_url(
        re.compile("/explain.*reference=" + quote(chosen, safe="")), timeout=WAIT
    )
    pictures = page.get_by_test_id("heat-picture")
    expect(pictures).to_have_count(4, timeout=WAIT)
    at_rest(page)
    assert pictures.locator("figcaption").all_inner_texts()[:2] == [QUERY, chosen]
    for picture in pictures.all()[:2]:
        expect(picture.locator("img")).to_have_js_property("complete", True, timeout=WAIT)
        assert picture.locator("img").evaluate("image => image.naturalWidth") > 100
        expect(picture.get_by_test_id("heat-unseen")).to_be_visible()  # 600 × 400 is no square
        assert drawn(picture)
        image, heat = (picture.locator(part).bounding_box() for part in ("img", "canvas"))
        assert image == pytest.approx(heat, abs=1), "the map lies on the picture to the pixel"
    expect(page.get_by_test_id("heat-mark")).to_have_count(10)

    # a place of the query, and what matches it in the other picture
    first, second = pictures.nth(2), pictures.nth(3)
    assert not first.get_by_test_id("heat-cross").is_visible()
    stage = first.get_by_test_id("heat-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    stage.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    expect(page.get_by_text("Best match of the place")).to_be_visible(timeout=WAIT)
    at_rest(page)
    assert numbers(page, "explain.place") == pytest.approx([0, 300, 200], abs=2)
    assert drawn(second) and first.get_by_test_id("heat-cross").is_visible()
    number = first.get_by_test_id("heat-mark").first.get_attribute("data-number")
    first.get_by_test_id("heat-mark").first.hover()
    lit = page.locator("[data-testid=heat-mark].lit")
    assert lit.evaluate_all("all => all.map(mark => mark.dataset.number)") == [number, number]

    # a crop, beside the whole
    page.get_by_text("Crops", exact=True).click()
    cropper = page.get_by_test_id("cropper")
    cropper.wait_for(timeout=WAIT)
    at_rest(page)
    cropper.scroll_into_view_if_needed()
    area = cropper.bounding_box()
    page.mouse.move(area["x"] + area["width"] * 0.25, area["y"] + area["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.75, area["y"] + area["height"] * 0.75, steps=4)
    page.mouse.up()
    expect(page.get_by_test_id("cropper-drawn")).to_have_count(1, timeout=WAIT)
    expect(pictures).to_have_count(4, timeout=WAIT)
    assert pictures.locator("figcaption").all_inner_texts()[2:] == ["the whole", "crop 1"]
    at_rest(page)
    assert drawn(pictures.nth(3))
    expect(pictures.nth(3).get_by_text("to the whole")).to_be_visible()
    assert numbers(page, "explain.crops") == pytest.approx([150, 100, 300, 200], abs=6)

    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).first.click()
        page.get_by_role("button", name="PNG").first.click()
    assert download.value.suggested_filename == "coffee-original-jpg-efficientnet-lite0-gradcam.png"
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
