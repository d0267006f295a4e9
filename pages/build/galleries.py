"""Galleries: which sets of images are there, and how does a new one come in?"""

import streamlit as st

from aina_core.gallery import galleries, open_gallery
from ui import gallery_admin, state, widgets

st.title("Galleries")
st.caption("Which sets of images are there, and how does a new one come in?")

if galleries():
    gallery_admin.table()
    chosen = open_gallery(state.current().gallery)
    st.subheader("The chosen gallery")
    st.text(chosen.name)
    gallery_admin.details(chosen)
else:
    widgets.no_gallery()

st.subheader("Make a gallery")
gallery_admin.form()
