"""Train: can a model learn what is alike in my gallery?"""

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from ui import state, training, training_live, training_results, widgets
from ui.text import plain

st.title("Train")
st.caption("Can a model learn what is alike in my gallery?")

now = state.current()
if not now.gallery:
    widgets.no_gallery()
    st.stop()
widgets.link_problems()

try:
    gallery = open_gallery(now.gallery)
    training.form(gallery)
    training_live.live()
    chosen = training_results.choose()
    if chosen is not None:
        training_results.show(gallery, chosen)
except AinaError as error:
    st.error(plain(error))
state.publish()
