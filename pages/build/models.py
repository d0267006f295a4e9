"""Models: which networks can look at the pictures here?"""

import pandas as pd
import streamlit as st

from aina_core import models

st.title("Models")
st.caption("Which networks can look at the pictures here?")

rows = []
for name in models.names():
    spec, found = models.get(name), models.state(name)
    rows.append(
        {
            "model": name,
            "state": found.status,
            "family": spec.family,
            "dimension": spec.dim,
            "input (px)": spec.recipe.crop,
            "licence": spec.license,
            "paper": spec.paper,
            "reason": found.reason,
        }
    )
st.dataframe(
    pd.DataFrame(rows), hide_index=True, column_config={"paper": st.column_config.LinkColumn()}
)
