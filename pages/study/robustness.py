"""Robustness: which model should I trust for my pictures?"""

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from ui import resources, state, study_choice, study_results, widgets
from ui.text import plain

now = widgets.open_page("Robustness", "Which model should I trust for my pictures?")
try:
    gallery = open_gallery(now.gallery)
    kind = study_choice.choose(gallery)
    chosen = study_choice.earlier(gallery, kind)
    if chosen is not None:
        study_results.show(gallery, resources.study(chosen))
except AinaError as error:
    st.error(plain(error))
state.publish()
