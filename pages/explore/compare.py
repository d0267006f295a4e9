"""Compare: do models see the same?"""

import streamlit as st

from aina_core.gallery import open_gallery
from ui import agreement, compare, state, widgets

st.title("Compare")
st.caption("Do models see the same?")

now = state.current()
if not now.gallery:
    widgets.no_gallery()
    st.stop()
widgets.link_problems()

gallery = open_gallery(now.gallery)
if now.model not in gallery.models():
    widgets.offer_indexing(gallery, now.model)
    st.stop()

models = compare.choose(gallery)
widgets.made_elsewhere(*models)
compare.pair(gallery, models)
compare.neighbours(gallery, models)
agreement.whole_gallery(gallery, models)
