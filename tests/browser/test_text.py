"""What a link says is shown as text, as a browser draws it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

NASTY = "<b>x</b> **y** [a](javascript:alert(1)) :red[z] :smile: :material/home: $q$ `c` ~~d~~ _e_"


def test_markdown_and_html_in_a_link_stay_text(visit):
    page = visit(f"/?gallery={quote(NASTY)}")
    warning = page.get_by_test_id("stAlert").filter(has_text="names a gallery that is not here")
    expect(warning).to_contain_text(NASTY, timeout=20_000)
    inside = "b, strong, em, a, code, del, .katex, [data-testid=stIconMaterial], img"
    expect(warning.get_by_test_id("stMarkdownContainer").locator(inside)).to_have_count(0)
