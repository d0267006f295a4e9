"""Map: how does the model arrange the whole gallery, and where is my picture in it?"""

import streamlit as st

from aina_core.errors import AinaError
from pages.map import selection, view
from pages.map.settings import choose_map, choose_view
from ui import cache as shared
from ui import page, state
from ui.text import plain

now = page.open_page(
    "Map", "How does the model arrange the whole gallery, and where is my picture in it?"
)
gallery = page.indexed_gallery(now)

try:
    opened = shared.searcher(now.gallery, now.model)
    method, kind, parameters = st.columns([3, 4, 2], vertical_alignment="bottom")
    below = st.columns([4, 3, 2], vertical_alignment="bottom")
    settings = choose_map(method, parameters)
    look = choose_view([kind, *below], opened, gallery.models())
    models = [now.model, *([look.beside] if look.beside else [])]
    left, right = st.columns([3, 1], gap="medium")
    with left:
        for place, model in zip(st.columns(len(models)), models, strict=True):
            with place:
                if len(models) > 1:
                    st.markdown(f"**{plain(model)}**")
                view.show(model, settings, look)
    with right:
        selection.show(opened, flat=settings.dims == 2)
except AinaError as error:
    st.error(plain(error))
state.publish()
