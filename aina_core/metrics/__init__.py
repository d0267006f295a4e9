"""Figures of rankings and of similarities, and how reliable they are: plain numpy, with formulas.

`ranking` judges lists of neighbours, `separation` the similarities of pairs; `resampling` gives
intervals by the bootstrap over queries and tests differences of two models on the same queries;
`estimates` makes JSON values of these.
"""

from aina_core.metrics.ranking import (
    average_precision,
    f1,
    ideal_hits,
    precision,
    r_precision,
    recall,
)
from aina_core.metrics.resampling import (
    LEVEL,
    RESAMPLES,
    Over,
    bootstrap_auc,
    bootstrap_mean,
    bootstrap_median,
    bootstrap_std,
    interval,
    sign_flip_test,
)
from aina_core.metrics.separation import draw_pairs, placements, roc_auc

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Over",
    "average_precision",
    "bootstrap_auc",
    "bootstrap_mean",
    "bootstrap_median",
    "bootstrap_std",
    "draw_pairs",
    "f1",
    "ideal_hits",
    "interval",
    "placements",
    "precision",
    "r_precision",
    "recall",
    "roc_auc",
    "sign_flip_test",
]
