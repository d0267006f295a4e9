"""Heat map: which of these are alike, and is that a lot?"""

import numpy as np
import streamlit as st

from aina_core.errors import AinaError
from aina_core.similarity.matrix import MAX_IMAGES
from ui import heatmap, heatmap_groups, resources, spread, state, widgets
from ui.heatmap_sets import choose
from ui.text import plain

now = widgets.open_page("Heat map", "Which of these are alike, and is that a lot?")
gallery = widgets.indexed_gallery(now)
indexed = gallery.models()
for model in now.others:
    if model not in indexed:
        widgets.offer_indexing(gallery, model)
beside = [model for model in now.others if model in indexed and model != now.model]

try:
    searchers = [resources.searcher(now.gallery, model) for model in (now.model, *beside)]
except AinaError as error:
    st.error(plain(error))
    st.stop()

pairs, similarity = np.empty(0, np.float32), None
try:
    choice = choose(searchers[0])
    if choice is not None:
        order, shared = heatmap.options(indexed, beside)
        if len(choice) > MAX_IMAGES:
            heatmap_groups.show_groups(searchers[0], choice, order)
        else:
            pairs, similarity = heatmap.show_matrix(searchers, choice, order, shared)
except AinaError as error:
    st.error(plain(error))
spread.show_distribution(searchers[0], pairs, similarity)
spread.show_ladder(searchers[0])
state.publish()
