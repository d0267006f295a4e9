"""Search: what in this gallery is near to this picture?"""

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.models import ModelName
from pages.search import choose, classes, results, terms
from ui import cache as shared
from ui import page, query, state
from ui.components import cropper
from ui.text import plain

now = page.open_page("Search", "What in this gallery is near to this picture?")
gallery = page.indexed_gallery(now)

spec = models.get(ModelName.parse(now.model).base)
page.made_elsewhere(now.model)
left, right = st.columns([1, 3], gap="medium")

with left:
    picture, gone = None, False
    try:
        picture = query.query_picture(now)
    except AinaError as error:
        gone = True
        st.error(plain(error))
    if picture is not None and not picture.there:
        st.image(picture.thumbnail())
    elif picture is not None:
        box = cropper(
            picture.url,
            width=picture.width,
            height=picture.height,
            box=now.crop,
            key=f"cropper-{picture.url}".replace("_", "-"),  # Streamlit takes no "__" in a key
        )
        if box != now.crop:
            state.change(crop=box)
            st.rerun()
    if now.query:
        st.text(query.describe_query(now))
    terms.show_terms()
    recognised_here = st.container()
    terms.add_words(spec)
    choose.choose_query()
    if query.query_problem():
        st.error(plain(query.query_problem()))
    terms.choose_class(spec)

with right:
    try:
        opened = shared.searcher(now.gallery, now.model)
        with recognised_here:
            classes.what_is_it(opened, spec)
        if now.concept:
            results.options(opened, index=False)
            classes.by_class(opened, spec)
            st.stop()
        if gone or not now.query:
            st.info("Choose a picture on the left.")
            st.stop()
        results.options(opened)
        found = shared.result(state.current())
    except AinaError as error:
        st.error(plain(error))
        st.stop()
    results.show(opened, found)
