"""Models: which networks can look at the pictures here?"""

import streamlit as st

from ui import models_page

st.title("Models")
st.caption("Which networks can look at the pictures here?")

models_page.table()
models_page.get_one()
models_page.add_one()
