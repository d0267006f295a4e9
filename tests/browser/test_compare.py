"""The Compare page in a real browser: what columns share is joined, lit together, and clicked."""

from __future__ import annotations

import re
import shutil
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from aina_core.gallery.indexing import index

pytestmark = pytest.mark.browser
WAIT = 30_000
QUERY = "chelsea/original.jpg"
LINK = f"/compare?gallery=both&model=efficientnet-lite0&other=efficientnet-lite1&image={QUERY}&k=8"


@pytest.fixture(scope="module")
def both(server):
    """A gallery "both" of three photographs and their modifications, under two models."""
    home = server[1]
    folder = home.parent / "both"
    for label in ("chelsea", "coffee", "rocket"):
        shutil.copytree(home / "demo" / "images" / label, folder / label)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(home))
        for model in ("efficientnet-lite0", "efficientnet-lite1"):
            index("both", folder, model, device="cpu")


def columns(page: Page) -> list[list[str]]:
    """The ids of each column once the app has come to rest."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    page.get_by_test_id("rank-row").first.wait_for(timeout=WAIT)
    return page.get_by_test_id("rank-column").evaluate_all(
        "all => all.map(one => [...one.querySelectorAll('.row')].map(row => row.dataset.id))"
    )


def lit(page: Page) -> list[str]:
    """The ids of the rows that are lit."""
    return page.get_by_test_id("rank-row").evaluate_all(
        "all => all.filter(row => row.classList.contains('lit')).map(row => row.dataset.id)"
    )


def test_what_columns_share_is_joined_and_lit_together(visit, both):
    page = visit(LINK)
    first, second = columns(page)
    assert len(first) == len(second) == 8
    shared = {*first} & {*second}
    assert len(shared) > 0
    lines = page.get_by_test_id("rank-line")
    expect(lines).to_have_count(len(shared), timeout=WAIT)
    assert {*lines.evaluate_all("all => all.map(line => line.dataset.id)")} == shared

    chosen = next(key for key in first if key in shared)
    row = page.get_by_test_id("rank-column").first.get_by_test_id("rank-row")
    row.nth(first.index(chosen)).hover()
    assert lit(page) == [chosen, chosen]
    row.nth(0).get_by_test_id("rank-thumbnail").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert {*lit(page)} == {second[1]}, "the arrows go from row to row and across"
    expect(page.get_by_text("are not on one scale")).to_be_visible()


def test_a_hit_is_held_against_the_query_and_then_searched_with(visit, both):
    page = visit(LINK)
    _, second = columns(page)
    row = page.get_by_test_id("rank-column").nth(1).get_by_test_id("rank-row").nth(2)
    row.hover()
    row.get_by_test_id("rank-pair").click()
    expect(page).to_have_url(re.compile("reference=" + quote(second[2], safe="")), timeout=WAIT)
    expect(page.get_by_text(f"The query and {second[2]}")).to_be_visible(timeout=WAIT)
    pictures = page.get_by_test_id("stMain").get_by_test_id("stImage").locator("img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100

    row.get_by_test_id("rank-thumbnail").click()
    expect(page).to_have_url(re.compile("image=" + quote(second[2], safe="")), timeout=WAIT)
    expect(page.get_by_text(f"The nearest to {second[2]}")).to_be_visible(timeout=WAIT)
    assert all(second[2] not in column for column in columns(page))
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_test_id("stMain").get_by_text(second[2], exact=True)).to_be_visible(
        timeout=WAIT
    )


def test_an_image_on_which_models_differ_becomes_the_query(visit, both):
    page = visit(LINK)
    columns(page)
    card = page.get_by_test_id("card").first
    chosen = card.get_attribute("data-id", timeout=WAIT)
    expect(page.get_by_test_id("plot")).to_have_count(3, timeout=WAIT)
    card.get_by_test_id("card-thumbnail").click()
    expect(page).to_have_url(re.compile("image=" + quote(chosen, safe="")), timeout=WAIT)
    expect(page.get_by_text(f"The nearest to {chosen}")).to_be_visible(timeout=WAIT)
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
