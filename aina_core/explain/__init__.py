"""What does a network look at? Maps of what speaks for a class, a similarity, or words.

    explainer = load_explainer("efficientnet-lite0")
    found = explainer.explain(pixels, similarity_target(other_pixels))
    picture = overlay(pixels, found)

Importing this package imports neither torch nor the package that computes the maps.
"""

from aina_core.explain.crops import CropRow, explain_crops, nine_crops
from aina_core.explain.explainer import METHODS, Explainer, load_explainer
from aina_core.explain.explanation import Explanation
from aina_core.explain.faithfulness import Faithfulness
from aina_core.explain.overlay import COLOURS, colour_table, overlay
from aina_core.explain.places import Places
from aina_core.explain.targets import (
    KINDS,
    Target,
    class_target,
    similarity_target,
    text_target,
)

__all__ = [
    "COLOURS",
    "KINDS",
    "METHODS",
    "CropRow",
    "Explainer",
    "Explanation",
    "Faithfulness",
    "Places",
    "Target",
    "class_target",
    "colour_table",
    "explain_crops",
    "load_explainer",
    "nine_crops",
    "overlay",
    "similarity_target",
    "text_target",
]
