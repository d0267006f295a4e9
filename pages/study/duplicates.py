"""Duplicates: what is in here twice?"""

import streamlit as st

from aina_core.errors import AinaError
from ui import duplicates, duplicates_against, resources, state, widgets
from ui.text import plain

now = widgets.open_page("Duplicates", "What is in here twice?")
widgets.indexed_gallery(now)

try:
    opened = resources.searcher(now.gallery, now.model)
    suggestion = resources.suggestion(now.gallery, now.model)
    if suggestion is None:
        duplicates.offer(
            opened,
            [],
            "All pairs of a gallery this large take a while.",
            "Find duplicates",
        )
        st.stop()
    options = duplicates.choose(opened, suggestion)
    within, folder, file = st.tabs(["In the gallery", "A folder against it", "Check a file"])
    with within:
        try:
            duplicates.show(opened, suggestion, options)
        except AinaError as error:  # the other questions can be asked all the same
            st.error(plain(error))
    with folder:
        duplicates_against.folder_against(opened, options)
    with file:
        duplicates_against.one_file(opened, options)
except AinaError as error:
    st.error(plain(error))
state.publish()
