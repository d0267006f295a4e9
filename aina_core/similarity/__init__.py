"""What "similar" means: to one model, among many images, and to several models side by side."""

from aina_core.similarity.agreement import (
    MOST_MODELS,
    MOST_NEIGHBOURS,
    Agreement,
    PairAgreement,
    agreement,
    check_models,
    stored_agreement,
)
from aina_core.similarity.pair import PairSimilarity, Picture, pair
from aina_core.similarity.side_by_side import Ranked, side_by_side

__all__ = [
    "MOST_MODELS",
    "MOST_NEIGHBOURS",
    "Agreement",
    "PairAgreement",
    "PairSimilarity",
    "Picture",
    "Ranked",
    "agreement",
    "check_models",
    "pair",
    "side_by_side",
    "stored_agreement",
]
