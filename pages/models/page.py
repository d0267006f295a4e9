"""Models: which networks can look at the pictures here?"""

import streamlit as st

from pages.models import table

st.title("Models")
st.caption("Which networks can look at the pictures here?")

table.table()
table.get_one()
table.add_one()
