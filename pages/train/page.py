"""Train: can a model learn what is alike in my gallery?"""

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from pages.train import form, live, results
from ui import page, state
from ui.text import plain

st.title("Train")
st.caption("Can a model learn what is alike in my gallery?")

now = state.current()
if not now.gallery:
    page.no_gallery()
    st.stop()
page.link_problems()

try:
    gallery = open_gallery(now.gallery)
    form.form(gallery)
    live.live()
    chosen = results.choose()
    if chosen is not None:
        results.show(gallery, chosen)
except AinaError as error:
    st.error(plain(error))
state.publish()
