"""The list of pages: all that there are, each at its address, and no path of one elsewhere."""

import re

import pytest

from tests.support.process import ROOT
from ui.navigation import PAGES


def test_the_list_holds_every_page_that_there_is():
    listed = {ROOT / page.path for page in PAGES.values()}
    assert listed == set((ROOT / "pages").glob("*/page.py"))


def test_addresses_stay_what_they_are():
    assert list(PAGES) == [
        *("search", "map", "heatmap", "compare", "explain"),
        *("robustness", "duplicates"),
        *("galleries", "models", "train"),
    ]


@pytest.mark.parametrize("folder", ["ui", "pages"])
def test_no_page_is_named_by_its_path(folder):
    for path in (ROOT / folder).rglob("*.py"):
        if path.name != "navigation.py":
            assert not re.search(r"[\"']pages/", path.read_text()), path
