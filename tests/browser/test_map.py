"""The map in a real browser: a lasso, a click, a tooltip, and what must not come back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from aina_core.gallery import open_gallery
from aina_core.projection import Points, Settings, project
from aina_core.search.searcher import Searcher

pytestmark = pytest.mark.browser
WAIT = 60_000
LITE0 = "efficientnet-lite0"
QUERY = "chelsea/original.jpg"
# Where a point of the map is in the window, as plotly's own axes say.
PLACE = """(plot, [x, y]) => {
    const { xaxis, yaxis } = plot._fullLayout;
    const box = plot.getBoundingClientRect();
    return [box.x + xaxis._offset + xaxis.l2p(x), box.y + yaxis._offset + yaxis.l2p(y)];
}"""


@pytest.fixture(scope="module")
def points(server):
    """The points of the demo's PCA map, each with its image id."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(server[1]))
        gallery = open_gallery("demo")
        made = project(gallery, LITE0, Settings("pca"))
        found = Points(made, Searcher(gallery, LITE0).shown)
        return {
            made.ids[row]: found.coordinates[place].tolist() for place, row in enumerate(found.rows)
        }


@pytest.fixture
def page(visit, points) -> Page:
    return visit(f"/map?gallery=demo&model={LITE0}&image={QUERY}&map.method=pca")


def drawn(page: Page) -> Locator:
    """The map, once it is drawn and the app has come to rest."""
    plot = page.get_by_test_id("map")
    plot.and_(page.locator("[data-drawn]")).wait_for(timeout=WAIT)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    return plot


def lonely(points) -> str:
    """The image whose point is farthest from any other but the query's: nothing else is hit."""

    def nearest(image_id):
        x, y = points[image_id]
        others = (place for key, place in points.items() if key != image_id)
        return min((x - a) ** 2 + (y - b) ** 2 for a, b in others)

    return max((key for key in points if key != QUERY), key=nearest)


def move(page: Page, plot: Locator, place) -> None:
    x, y = plot.evaluate(PLACE, place)
    page.mouse.move(x - 15, y)
    page.mouse.move(x, y, steps=4)


def lasso(page: Page, plot: Locator, corners) -> None:
    places = [plot.evaluate(PLACE, list(corner)) for corner in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in [*places[1:], places[0]]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_a_lasso_finds_the_same_images_in_the_grid(page, points):
    plot = drawn(page)
    x, y = points[QUERY]
    width = 0.12 * (max(p[0] for p in points.values()) - min(p[0] for p in points.values()))
    corners = [(x - width, y - width), (x + width, y - width), (x, y + width)]
    # a point at the line may fall to either side of it
    sure, unsure = set(), set()
    for image_id, place in points.items():
        margins = [
            _side(place, a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
        ]
        if min(margins) > width / 40:
            sure.add(image_id)
        elif min(margins) > -width / 40:
            unsure.add(image_id)
    assert 3 < len(sure) < 200

    lasso(page, plot, corners)
    heading = page.get_by_text(re.compile("^Selected: [1-9]"))
    expect(heading).to_be_visible(timeout=WAIT)
    count = int(heading.inner_text().split()[-1])
    shown, found = [], set()
    for number in range(1, (count + 23) // 24 + 1):
        if number > 1:
            field = page.get_by_label(re.compile("^Page, of"))
            field.fill(str(number))
            field.press("Enter")
            before = page.locator(f"[data-testid=card][data-id='{shown[0]}']")
            expect(before).to_have_count(0, timeout=WAIT)
        expect(page.get_by_test_id("card").first).to_be_visible(timeout=WAIT)
        page.wait_for_timeout(500)
        shown = page.get_by_test_id("card").evaluate_all("all => all.map(c => c.dataset.id)")
        found |= set(shown)
    assert len(found) == count
    assert sure <= found <= sure | unsure


def _side(place, a, b) -> float:
    """How far a point lies to the left of the line from a to b."""
    (x, y), (x1, y1), (x2, y2) = place, a, b
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    return ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / length


def test_a_click_makes_the_point_the_query_on_the_search_page_too(page, points):
    chosen = lonely(points)
    plot = drawn(page)
    x, y = plot.evaluate(PLACE, points[chosen])
    page.mouse.click(x, y)
    named = re.compile("image=" + re.escape(chosen.replace("/", "%2F")))
    expect(page).to_have_url(named, timeout=WAIT)
    drawn(page)
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_text("nearest of")).to_be_visible(timeout=WAIT)
    expect(page).to_have_url(named)
    assert chosen in page.get_by_test_id("stSidebar").inner_text().replace("\n", "")


def test_the_tooltip_names_the_picture_under_the_mouse(page, points):
    chosen = lonely(points)
    plot = drawn(page)
    move(page, plot, points[chosen])
    tooltip = page.get_by_test_id("plot-tooltip")
    expect(tooltip).to_be_visible(timeout=WAIT)
    expect(tooltip).to_contain_text(chosen)
    expect(tooltip.locator("img")).to_have_attribute("src", re.compile("^/thumb/demo/"))
    expect(tooltip).to_contain_text(re.compile(r"similarity [−\d.]+, nearer than [\d.]+% of pairs"))


def test_points_are_not_sent_again_when_the_query_and_the_selection_change(page, points):
    plot = drawn(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    x, y = plot.evaluate(PLACE, points[lonely(points)])
    page.mouse.click(x, y)
    expect(page).not_to_have_url(re.compile("chelsea%2Foriginal"), timeout=WAIT)
    page.get_by_test_id("map").and_(page.locator("[data-drawn]")).wait_for(timeout=WAIT)
    x, y = points[QUERY]
    lasso(page, drawn(page), [(x - 0.05, y - 0.05), (x + 0.05, y - 0.05), (x, y + 0.05)])
    expect(page.get_by_text(re.compile("^Selected: [1-9]"))).to_be_visible(timeout=WAIT)
    sent = [url for url in asked if "/map/" in url]
    assert any("/map/similarities" in url for url in sent)
    assert not [url for url in sent if "/map/points" in url or "/map/codes" in url]


def test_the_data_of_maps_that_are_not_there_are_not_served(server, page):
    drawn(page)
    request = page.context.request
    known = f"gallery=demo&model={LITE0}&method=pca&dims=2&seed=0&components=0&neighbours=15"
    rest = "min_dist=0.1&perplexity=30.0&version=0"
    for path in (
        "/map/points",
        f"/map/points?{known}&{rest}",
        f"/map/points?{known.replace('demo', '..%2Fdemo')}&{rest}",
        f"/map/points?{known.replace('seed=0', 'seed=7')}&{rest}",
        f"/map/describe?{known}&{rest}&points=-1",
        f"/map/describe?{known}&{rest}&points={','.join(['1'] * 501)}",
        f"/map/similarities?{known}&{rest}&image=none",
        f"/map/similarities?{known}&{rest}&crop=1,2",
    ):
        assert request.get(server[0] + path).status == 404, path
