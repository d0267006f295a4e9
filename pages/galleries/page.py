"""Galleries: which sets of images are there, and how does a new one come in?"""

import streamlit as st

from aina_core.gallery import galleries, open_gallery
from pages.galleries import forms
from ui import page, state

st.title("Galleries")
st.caption("Which sets of images are there, and how does a new one come in?")

if galleries():
    forms.table()
    chosen = open_gallery(state.current().gallery)
    st.subheader("The chosen gallery")
    st.text(chosen.name)
    forms.details(chosen)
else:
    page.no_gallery()

st.subheader("Make a gallery")
forms.form()
