"""Duplicates: what is in here twice?"""

import streamlit as st

from aina_core.errors import AinaError
from pages.duplicates import against, cache, groups
from ui import cache as shared
from ui import page, state
from ui.text import plain

now = page.open_page("Duplicates", "What is in here twice?")
page.indexed_gallery(now)

try:
    opened = shared.searcher(now.gallery, now.model)
    suggestion = cache.suggestion(opened)
    if suggestion is None:
        groups.offer_pairs(opened)
        st.stop()
    options = groups.choose(opened, suggestion)
    within, folder, file = st.tabs(["In the gallery", "A folder against it", "Check a file"])
    with within:
        try:
            groups.show(opened, suggestion, options)
        except AinaError as error:  # the other questions can be asked all the same
            st.error(plain(error))
    with folder:
        against.folder_against(opened, options)
    with file:
        against.one_file(opened, options)
except AinaError as error:
    st.error(plain(error))
state.publish()
