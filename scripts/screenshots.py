"""Take the README's screenshots of a running app.

    python scripts/screenshots.py http://127.0.0.1:8501

Needs the galleries demo (indexed by efficientnet-lite1 too, and with a study of modifications by
both) and stamps (with its UMAP map, and an adapter trained on it), playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SEARCH = "/?gallery=demo&model=efficientnet-lite0&image=coffee/original.jpg"


def main(address: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)

        def take(
            name: str,
            url: str,
            wait: str,
            scheme: str = "light",
            top: str = "",
            height: int = 940,
        ) -> None:
            page: Page = browser.new_page(
                viewport={"width": 1360, "height": height}, color_scheme=scheme
            )
            page.goto(address + url)
            page.get_by_test_id(wait).first.wait_for(timeout=30_000)
            page.wait_for_timeout(3_000)
            if top:
                page.get_by_test_id(top).first.evaluate("one => one.scrollIntoView()")
                page.mouse.move(800, 500)
                page.mouse.wheel(0, -260)
                page.wait_for_timeout(500)
            page.screenshot(path=FOLDER / f"{name}.png")
            page.close()

        take("search", SEARCH + "&crop=150,60,260,250", "card")
        take("threshold", SEARCH + "&threshold=0.55", "card", "dark")
        take("map", "/map?gallery=stamps&map.view=thumbnails", "map")
        take("heatmap", "/heatmap?gallery=demo&heatmap.original=coffee/original.jpg", "plot")
        take("compare", "/compare?gallery=demo&other=efficientnet-lite1", "rank-row", "dark")
        pair = "&image=chelsea/original.jpg&reference=chelsea/cropped-center.jpg"
        take("explain", "/explain?gallery=demo" + pair, "heat-picture")
        take("duplicates", "/duplicates?gallery=demo&duplicates.threshold=0.850", "card")
        take("models", "/models?gallery=demo", "stDataFrame")
        take("robustness", "/robustness?gallery=demo&robustness.shown=median", "card", top="plot")
        take("galleries", "/galleries?gallery=stamps", "stDataFrame")
        take("train", "/train?gallery=stamps", "plot", height=1520)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
