"""Robustness: which model should I trust for my pictures?"""

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from ui import resources, state, study_choice, study_results, widgets
from ui.text import plain

st.title("Robustness")
st.caption("Which model should I trust for my pictures?")

now = state.current()
if not now.gallery:
    widgets.no_gallery()
    st.stop()
widgets.link_problems()

try:
    gallery = open_gallery(now.gallery)
    kind = study_choice.choose(gallery)
    chosen = study_choice.earlier(gallery, kind)
    if chosen is not None:
        study_results.show(gallery, resources.study(chosen))
except AinaError as error:
    st.error(plain(error))
state.publish()
