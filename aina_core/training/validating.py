"""The retrieval score on validation originals that early stopping looks at."""

from __future__ import annotations

import math

import numpy as np

from aina_core import metrics
from aina_core.training.evaluation import K, Logits, Rows, label_hits, recovery_hits
from aina_core.training.plan import Plan


def validation_score(rows: Rows, made: Plan, logits: Logits | None = None) -> float:
    """Return the retrieval score on validation originals, for positives of the kind trained on.

    By labels, or groups of a pairs file, it is precision@5 of their search among themselves and the
    training originals; else the mean over them of precision@k of the search for their k changed
    versions.

    Under a head for pairs the nearest by cosine are ranked by its probability
    (`evaluation.nearest_others`), since that is what such a training makes: over a frozen trunk no
    embedding changes, so that retrieval by the embedding alone would stay as it began.

    Args:
        rows: gives unit rows.
        made: the plan.
        logits: of a head for pairs; None where there is none.

    Returns:
        In [0, 1]; NaN where a row is not finite: what is near to such a row says nothing.
    """
    if made.by_code:
        places, asked = made.label_queries()
        found = rows(places, np.zeros_like(places))
        if not np.isfinite(found).all():
            return math.nan
        relevant = label_hits(found, made.codes[places], asked, logits)
        return float(metrics.precision(relevant, K).mean())
    places, columns = made.checked, made.check_columns
    grid = np.repeat(places, len(columns)), np.tile(columns, len(places))
    versions = rows(*grid).reshape(len(places), len(columns), -1)
    if not np.isfinite(versions).all():
        return math.nan
    k = len(columns) - 1
    return float(metrics.precision(recovery_hits(versions, k, logits), k).mean())
