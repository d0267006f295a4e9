"""Everything that is loaded once and shared: the only place with Streamlit's caches.

What is cached is never changed. Keys name the model, the gallery and its generation, so a gallery
that was indexed again is opened anew.
"""

from ui.resources.comparing import agreement, pair
from ui.resources.galleries import (
    embedder,
    pictures_in,
    query_vector,
    result,
    searcher,
    upload_size,
    upload_thumbnail,
    upright,
)
from ui.resources.maps import OpenMap, compute_map, map_categories, open_map
from ui.resources.similarities import examples, groups, images_of_labels, matrix, spread

__all__ = [
    "OpenMap",
    "agreement",
    "compute_map",
    "embedder",
    "examples",
    "groups",
    "images_of_labels",
    "map_categories",
    "matrix",
    "open_map",
    "pair",
    "pictures_in",
    "query_vector",
    "result",
    "searcher",
    "spread",
    "upload_size",
    "upload_thumbnail",
    "upright",
]
