"""Everything that is loaded once and shared: the only place with Streamlit's caches.

What is cached is never changed. Keys name the model, the gallery and its generation, so a gallery
that was indexed again is opened anew.
"""

from ui.resources.comparing import agreement, pair
from ui.resources.duplicates import (
    check_folder,
    checked_file,
    checked_folder,
    duplicate_groups,
    file_thumbnail,
    pairs,
    second_signal,
    suggestion,
)
from ui.resources.galleries import (
    embedder,
    pictures_in,
    pool,
    query_vector,
    result,
    searcher,
    upload_size,
    upload_thumbnail,
    upright,
)
from ui.resources.maps import OpenMap, compute_map, map_categories, open_map
from ui.resources.recognising import classes_of, labels_of, of_class
from ui.resources.reranking import reranked
from ui.resources.similarities import examples, groups, images_of_labels, matrix, spread
from ui.resources.studies import study, study_report
from ui.resources.training import (
    autoencoder,
    between,
    reconstructed,
    training_pairs,
    training_problem,
    unseen_images,
)

__all__ = [
    "OpenMap",
    "agreement",
    "autoencoder",
    "between",
    "check_folder",
    "checked_file",
    "checked_folder",
    "classes_of",
    "compute_map",
    "duplicate_groups",
    "embedder",
    "examples",
    "file_thumbnail",
    "groups",
    "images_of_labels",
    "labels_of",
    "map_categories",
    "matrix",
    "of_class",
    "open_map",
    "pair",
    "pairs",
    "pictures_in",
    "pool",
    "query_vector",
    "reconstructed",
    "reranked",
    "result",
    "searcher",
    "second_signal",
    "spread",
    "study",
    "study_report",
    "suggestion",
    "training_pairs",
    "training_problem",
    "unseen_images",
    "upload_size",
    "upload_thumbnail",
    "upright",
]
