"""A click on a download in a real browser, while the server is slow to hear of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

pytestmark = pytest.mark.browser
WAIT = 20_000


class Line:
    """The line between a page and its server, which holds back what is asked of downloads."""

    def __init__(self, page: Page) -> None:
        self.held: list[bytes] = []
        self._page = page
        self._reruns = self._finished = 0
        page.route_web_socket(lambda url: "_stcore/stream" in url, self._open)

    def _open(self, browser: WebSocketRoute) -> None:
        self._server = browser.connect_to_server()

        def to_server(message: bytes) -> None:
            kind = BackMsg.FromString(message).WhichOneof("type")
            self._reruns += kind == "rerun_script"
            if kind == "backend_operation_request":
                self.held.append(message)
            else:
                self._server.send(message)

        def to_browser(message: bytes) -> None:
            self._finished += ForwardMsg.FromString(message).WhichOneof("type") == "script_finished"
            browser.send(message)

        browser.on_message(to_server)
        self._server.on_message(to_browser)

    def wait(self) -> None:
        """Wait until a download is asked for, and every run that was asked for has ended."""
        while not self.held or self._finished < self._reruns:
            self._page.wait_for_timeout(50)
        at_rest(self._page)

    def release(self) -> None:
        for message in self.held:
            self._server.send(message)


def at_rest(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)


@pytest.mark.parametrize(
    "address",
    [
        "/heatmap?gallery=demo&image=chelsea/original.jpg",
        "/compare?gallery=demo&image=chelsea/original.jpg",
        "/map?gallery=demo&map.method=pca",
    ],
)
def test_a_download_comes_however_late_the_server_hears_of_the_click(visit, address):
    page = visit()
    line = Line(page)
    page.goto(page.url.partition("?")[0].rstrip("/") + address)
    button = page.get_by_test_id("stDownloadButton").first.get_by_role("button")
    button.wait_for(timeout=WAIT)
    at_rest(page)
    with page.expect_download(timeout=WAIT) as download:
        button.click()
        line.wait()
        line.release()
    assert download.value.path().read_text().count("\n") > 2
    expect(page.get_by_test_id("stDownloadButtonError")).to_have_count(0)
