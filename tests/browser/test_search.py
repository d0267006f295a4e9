"""The whole flow in a real browser."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from aina_core import demo, images

pytestmark = pytest.mark.browser
WAIT = 20_000


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


#: A PNG of a hundred bytes that claims 60,000 × 60,000 pixels.
BOMB = b"".join(
    [
        b"\x89PNG\r\n\x1a\n",
        _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        _png_chunk(b"IDAT", zlib.compress(bytes(100))),
        _png_chunk(b"IEND", b""),
    ]
)


def hits(page: Page) -> list[str]:
    """The image ids on the screen once the app has come to rest, in order."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    page.get_by_test_id("card").first.wait_for(timeout=WAIT)
    return page.get_by_test_id("card").evaluate_all("all => all.map(card => card.dataset.id)")


def wait_for_query(page: Page, pattern: str) -> None:
    expect(page).to_have_url(re.compile(pattern), timeout=WAIT)


def upload(page: Page, data: bytes, name: str = "mine.jpg") -> None:
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": data}
    )


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """A picture that is no file of the gallery: a photograph of it, smaller and recompressed."""
    chosen = next(p for p in demo.PHOTOGRAPHS if p.name == "coffee")
    image = images.read_image(chosen.path()).resize((450, 300))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def test_first_screen_shows_neighbours_and_the_url_names_the_search(visit):
    page = visit()
    found = hits(page)
    assert len(found) == 24
    expect(page.get_by_text("The 24 nearest of 322 images")).to_be_visible()
    for part in ("gallery=demo", "model=efficientnet-lite0", "image=", "k=24"):
        assert part in page.url
    expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_upload_crop_search_with_this_and_the_copied_link(visit, photograph):
    page = visit()
    hits(page)
    upload(page, photograph)
    wait_for_query(page, "upload=[0-9a-f]{64}")
    expect(page.get_by_test_id("card").first).to_have_attribute(
        "data-id", re.compile("^coffee/"), timeout=WAIT
    )

    box = page.get_by_test_id("cropper").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=5)
    page.mouse.up()
    wait_for_query(page, r"crop=\d+(%2C|,)\d+(%2C|,)\d+(%2C|,)\d+")
    x, y, width, height = map(int, re.findall(r"crop=([^&]+)", page.url)[0].split("%2C"))
    assert abs(x - 90) < 12 and abs(width - 225) < 12, (x, y, width, height)
    expect(page.get_by_text("uploaded picture (a crop)").first).to_be_visible(timeout=WAIT)
    cropped = hits(page)

    copied = visit(page.url)
    assert hits(copied) == cropped
    expect(copied.get_by_text("uploaded picture (a crop)").first).to_be_visible(timeout=WAIT)

    second = cropped[1]
    card = page.get_by_test_id("card").nth(1)
    card.hover()
    card.get_by_test_id("card-search").click()
    wait_for_query(page, "image=" + re.escape(second.replace("/", "%2F")))
    after = hits(page)
    assert second not in after
    other = visit(page.url)
    assert hits(other) == after


def test_threshold_shows_all_above_and_travels_in_the_link(visit):
    page = visit("/?gallery=demo&model=efficientnet-lite0&image=chelsea/original.jpg&threshold=0.9")
    found = hits(page)
    assert found and all(image_id.startswith("chelsea/") for image_id in found)
    expect(page.get_by_text(f"{len(found)} images at 0.90 or nearer")).to_be_visible()


def test_back_button_returns_to_the_query_before(visit):
    page = visit("/?gallery=demo&model=efficientnet-lite0&image=chelsea/original.jpg")
    before = hits(page)
    card = page.get_by_test_id("card").first
    card.hover()
    card.get_by_test_id("card-search").click()
    wait_for_query(page, "image=" + re.escape(before[0].replace("/", "%2F")))
    page.go_back()
    wait_for_query(page, "image=chelsea%2Foriginal|image=chelsea/original")
    # the address changes at once, the page a moment later
    first = page.get_by_test_id("card").first
    expect(first).to_have_attribute("data-id", before[0], timeout=WAIT)
    assert hits(page) == before


def test_state_goes_along_from_page_to_page(visit):
    page = visit("/?gallery=demo&model=efficientnet-lite0&image=rocket/original.jpg&k=7")
    assert len(hits(page)) == 7
    page.get_by_role("link", name="Galleries").click()
    expect(page.get_by_text("Make a gallery").first).to_be_visible(timeout=WAIT)
    wait_for_query(page, "rocket")
    page.get_by_role("link", name="Search").click()
    assert len(hits(page)) == 7
    assert "rocket" in page.url


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.jpg", b"this is not a picture at all", "not a picture"),
        ("empty.jpg", b"", "empty"),
        ("bomb.png", BOMB, "over .* million"),
        ("truncated.jpg", None, "truncated"),
    ],
    ids=["text", "empty", "bomb", "truncated"],
)
def test_a_bad_upload_costs_one_sentence(visit, photograph, name, data, reason):
    page = visit()
    before = hits(page)
    upload(page, photograph[:5000] if data is None else data, name)
    expect(page.get_by_text(re.compile(f"cannot be used.*{reason}"))).to_be_visible(timeout=WAIT)
    assert hits(page) == before
    expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_a_file_of_200_mb_is_refused_where_it_is(visit, tmp_path):
    page = visit()
    before = hits(page)
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    page.locator("input[type=file]").first.set_input_files(large)
    expect(page.get_by_text(re.compile("50.*MB or smaller"))).to_be_visible(timeout=WAIT)
    assert hits(page) == before


def test_links_that_lead_nowhere(visit):
    page = visit("/?gallery=none&model=none")
    expect(page.get_by_text("names a gallery that is not here")).to_be_visible(timeout=WAIT)
    assert hits(page)
    page = visit("/?gallery=demo&model=none&image=../../etc/passwd&crop=a,b&k=1e9")
    expect(page.get_by_text("There is no model named")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("has no image").first).to_be_visible(timeout=WAIT)
    page = visit("/?gallery=demo&upload=" + "0" * 64)
    expect(page.get_by_text("not kept any more").first).to_be_visible(timeout=WAIT)


def test_only_known_pictures_are_served(server, visit):
    page = visit()
    hits(page)
    request = page.context.request
    address = server[0]
    for path in (
        "/thumb/demo/../../gallery.json",
        "/thumb/demo/" + "0" * 64 + ".jpg",
        "/thumb/..%2F..%2Fetc/passwd.jpg",
        "/image/demo/..%2F..%2Fgallery.jpg",
        "/query/..%2Fgallery.jpg",
    ):
        answer = request.get(address + path)
        assert b"folder" not in answer.body() or b"<html" in answer.body()[:200].lower()
        assert answer.headers.get("content-type", "") != "image/jpeg", path
    foreign = request.get(address + "/_stcore/health", headers={"Host": "evil.example"})
    assert foreign.status == 400


def test_pick_from_the_gallery(visit):
    page = visit()
    hits(page)
    page.get_by_role("button", name="From the gallery").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_test_id("card").first.wait_for(timeout=WAIT)
    dialog.get_by_role("textbox").fill("rocket mirrored")
    dialog.get_by_role("textbox").press("Enter")
    expect(dialog.get_by_test_id("card")).to_have_count(1, timeout=WAIT)
    dialog.get_by_test_id("card-use").click()
    wait_for_query(page, "rocket%2Fmirrored")


def test_a_gallery_from_uploaded_files(visit):
    page = visit("/galleries")
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Name", exact=True).press("Enter")
    page.wait_for_timeout(500)  # for the run that this starts; until it ends, a click may be lost
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=60_000)
    page.get_by_role("tab", name="Files").click()
    rng = np.random.default_rng(0)
    files = []
    for number in range(3):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "PNG")
        files.append(
            {"name": f"{number}.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
    files.append({"name": "<b>bad</b>.png", "mimeType": "image/png", "buffer": b"nothing"})
    panel = page.get_by_role("tabpanel", name="Files")
    panel.locator("input[type=file]").set_input_files(files)
    panel.get_by_role("button", name="Make the gallery").click()
    wait_for_query(page, "gallery=mine")
    page.get_by_text("1 files are not usable").wait_for(timeout=60_000)
    page.get_by_role("link", name="Search").click()
    assert len(hits(page)) == 2


def test_more_and_less_like_a_card_and_a_class(visit):
    page = visit("/?image=coffee%2Foriginal.jpg&k=30")
    found = hits(page)
    more, less = found[-1], found[0]
    for image_id, action in ((more, "more"), (less, "less")):
        card = page.locator(f"[data-testid=card][data-id='{image_id}']")
        card.hover()
        card.get_by_test_id(f"card-{action}").click()
        wait_for_query(page, re.escape(image_id.replace("/", "%2F")))
        assert image_id not in hits(page)
    expect(page.get_by_text("Query of 3 terms")).to_be_visible(timeout=WAIT)
    page.get_by_role("slider").first.press("ArrowRight")  # the picture's own weight
    wait_for_query(page, r"weight=1\.1")
    classes = page.get_by_role("combobox", name="Or rank by a class")
    classes.click()
    classes.fill("espr")
    page.get_by_role("option", name="espresso", exact=True).click(timeout=WAIT)
    wait_for_query(page, "class=espresso")
    expect(page.get_by_test_id("card").first).to_contain_text("%", timeout=WAIT)
    assert all(image_id.startswith("coffee/") for image_id in hits(page)[:10])
