"""The pages of the app, one line each, and the links between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import streamlit as st


@dataclass(frozen=True)
class Page:
    """One page: its name is its address in the browser and its folder below pages/."""

    name: str
    section: str
    title: str
    icon: str

    @property
    def path(self) -> str:
        """Its script, relative to app.py."""
        return f"pages/{self.name}/page.py"


#: In the order of the sidebar. The first one opens where an address names none.
PAGES: Mapping[str, Page] = MappingProxyType(
    {
        page.name: page
        for page in (
            Page("search", "Explore", "Search", ":material/image_search:"),
            Page("map", "Explore", "Map", ":material/scatter_plot:"),
            Page("heatmap", "Explore", "Heat map", ":material/grid_on:"),
            Page("compare", "Explore", "Compare", ":material/compare:"),
            Page("explain", "Explore", "Explain", ":material/visibility:"),
            Page("robustness", "Study", "Robustness", ":material/science:"),
            Page("duplicates", "Study", "Duplicates", ":material/content_copy:"),
            Page("galleries", "Build", "Galleries", ":material/photo_library:"),
            Page("models", "Build", "Models", ":material/neurology:"),
            Page("train", "Build", "Train", ":material/model_training:"),
        )
    }
)


def chosen_page() -> st.Page:
    """Draw the navigation, by sections; return the page that the address names."""
    sections: dict[str, list[st.Page]] = {}
    for page in PAGES.values():
        sections.setdefault(page.section, []).append(
            st.Page(
                page.path,
                title=page.title,
                icon=page.icon,
                url_path=page.name,
                default=page is next(iter(PAGES.values())),
            )
        )
    return st.navigation(sections)


def go(name: str) -> None:
    """Leave this run for another page, by its name."""
    st.switch_page(PAGES[name].path)


def link(name: str, label: str, icon: str | None = None) -> None:
    """Draw a link to a page, with the page's icon unless another is given."""
    st.page_link(PAGES[name].path, label=label, icon=icon or PAGES[name].icon)
