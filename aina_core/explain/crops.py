"""Crops of a picture: the class and similarity of each, and what the model looks at in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core import images
from aina_core.changes.modifications import CROPS, crop_box
from aina_core.explain.explainer import Explainer
from aina_core.explain.explanation import Crop, Explanation
from aina_core.explain.targets import CLASS, Target, class_target, similarity_target


@dataclass(frozen=True, eq=False)
class CropRow:
    """A model's result for one crop.

    Attributes:
        box: (x, y, width, height) in pixels of the upright picture.
        top_class: the likeliest class; empty for a model without classes.
        probability: of that class; None for a model without classes.
        to_whole: cosine to the whole picture.
        to_reference: cosine to the reference; None without one.
        explanation: of the crop, with `explanation.crop` the box.
    """

    box: Crop
    top_class: str
    probability: float | None
    to_whole: float
    to_reference: float | None
    explanation: Explanation


def explain_crops(
    explainer: Explainer,
    pixels: np.ndarray,
    boxes: Sequence[Crop],
    reference_pixels: np.ndarray | None = None,
    *,
    target: Target | None = None,
    method: str = "gradcam",
) -> list[CropRow]:
    """Explain crops, each as if it were the picture.

    Args:
        explainer: the model.
        pixels: uint8 (height, width, 3), upright RGB.
        boxes: (x, y, width, height) each.
        reference_pixels: what crops are compared with, uint8 (height, width, 3); None for nothing.
        target: what each crop's map explains; by default its similarity to the reference; without
            one its likeliest class; for a model without classes its similarity to the whole.
        method: one of `METHODS`.

    Returns:
        A row for each box, in their order.

    Raises:
        ImageError: a box lies outside the picture.
        InputError: see `Explainer.explain`.
    """
    rows = []
    for box in boxes:
        part = images.crop_pixels(pixels, box)
        top_class, probability = "", None
        if not explainer.can(CLASS):
            ((top_class, probability),) = explainer.classes(part, 1)
        wanted = target
        if wanted is None and reference_pixels is not None:
            wanted = similarity_target(reference_pixels)
        if wanted is None:
            wanted = class_target(top_class) if top_class else similarity_target(pixels)
        to_reference = None
        if reference_pixels is not None:
            to_reference = explainer.similarity(part, reference_pixels)
        explanation = explainer.explain(pixels, wanted, method=method, crop=box)
        to_whole = explainer.similarity(part, pixels)
        rows.append(CropRow(box, top_class, probability, to_whole, to_reference, explanation))
    return rows


def nine_crops(height: int, width: int) -> dict[str, Crop]:
    """Return the nine crops among the 18 modifications, by name, of a picture of some size."""
    return {name: crop_box(part, width, height) for name, part in CROPS.items()}
