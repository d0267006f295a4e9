"""Figures of rankings and of similarities, with what they are worth: plain numpy, formulas said.

`ranking` judges lists of neighbours, `separation` the similarities of pairs, `resampling` gives
intervals by the bootstrap over queries, and tests differences of two models on the same queries.
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
from aina_core.metrics.separation import placements, roc_auc

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Over",
    "average_precision",
    "bootstrap_auc",
    "bootstrap_mean",
    "bootstrap_median",
    "bootstrap_std",
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
