"""Robustness: which model should I trust for my pictures?"""

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from pages.robustness import cache, choose, results
from ui import page, state
from ui.text import plain

now = page.open_page("Robustness", "Which model should I trust for my pictures?")
try:
    gallery = open_gallery(now.gallery)
    kind = choose.choose(gallery)
    chosen = choose.earlier(gallery, kind)
    if chosen is not None:
        results.show(gallery, cache.study(chosen))
except AinaError as error:
    st.error(plain(error))
state.publish()
