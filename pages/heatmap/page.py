"""Heat map: which of these are alike, and is that a lot?"""

import numpy as np
import streamlit as st

from aina_core.errors import AinaError
from aina_core.similarity.matrix import MAX_IMAGES
from pages.heatmap import groups, matrix, scale
from pages.heatmap.sets import choose
from ui import cache as shared
from ui import page, state
from ui.text import plain

now = page.open_page("Heat map", "Which of these are alike, and is that a lot?")
gallery = page.indexed_gallery(now)
indexed = gallery.models()
for model in now.others:
    if model not in indexed:
        page.offer_indexing(gallery, model)
beside = [model for model in now.others if model in indexed and model != now.model]

try:
    searchers = [shared.searcher(now.gallery, model) for model in (now.model, *beside)]
except AinaError as error:
    st.error(plain(error))
    st.stop()

pairs, similarity = np.empty(0, np.float32), None
try:
    choice = choose(searchers[0])
    if choice is not None:
        order, one_scale = matrix.options(indexed, beside)
        if len(choice) > MAX_IMAGES:
            groups.show_groups(searchers[0], choice, order)
        else:
            pairs, similarity = matrix.show_matrix(searchers, choice, order, one_scale)
except AinaError as error:
    st.error(plain(error))
scale.show_distribution(searchers[0], pairs, similarity)
scale.show_ladder(searchers[0])
state.publish()
