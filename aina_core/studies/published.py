"""What the source projects published, to be read beside our own figures, and how they got it.

A published figure is of the same model only where the weights and the features are the same; how
else the protocol differs is said beside it, in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.numbers import decimal_text, estimate_text
from aina_core.studies.kind import Row, Run, Table
from aina_core.studies.kinds import rows
from aina_core.studies.shown import TITLES


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        study: the kind of study that it belongs to.
        model: what its source calls the model.
        figure: "median", "precision", "recall", "f1", "map".
        change: the modification, or empty.
        k: the number of neighbours, or 0.
        value: the figure.
        source: the project.
        protocol: how it differs from ours.
    """

    study: str
    model: str
    figure: str
    change: str
    k: int
    value: float
    source: str
    protocol: str


#: What the sources call a model, and the names under which it may be registered here: patterns of
#: the letters and digits of a name, in lower case.
NAMES = {
    "CLIP ViT-B/16": r"(open)?clipvitb16(openai)?|vitb16openai",
    "ISC21": r"isc21?(ftv107)?",
    "ResNet50 logits": r"resnet50logits",
    "VGG16": r"(torchvision)?vgg16prerelu",
    "DenseNet201": r"(torchvision)?densenet201",
    "ResNet152": r"(torchvision)?resnet152",
}

_AINA = "AINA (Shukla, Somepalli)"
_ART = "Visually Similar Image Search (989 MoMA artworks)"
_CATS = "Image Similarity Search (cats and dogs)"

# fmt: off
_MEDIANS = {
    "CLIP ViT-B/16": (
        0.935, 0.939, 0.856, 0.835, 0.815, 0.830, 0.813, 0.784, 0.779,
        0.781, 0.761, 0.976, 0.893, 0.956, 0.982, 0.900, 0.897, 0.820,
    ),
    "ISC21": (
        0.973, 0.966, 0.761, 0.769, 0.738, 0.661, 0.643, 0.543, 0.523,
        0.561, 0.462, 0.993, 0.964, 0.977, 0.974, 0.829, 0.839, 0.898,
    ),
    "ResNet50 logits": (
        0.997, 0.997, 0.992, 0.991, 0.991, 0.991, 0.990, 0.989, 0.990,
        0.989, 0.989, 0.999, 0.994, 0.999, 0.999, 0.992, 0.990, 0.991,
    ),
}
# fmt: on
_COUNTS = {"CLIP ViT-B/16": 100, "ISC21": 20, "ResNet50 logits": 100}
_LOGITS = (
    " It compares the 1000 class scores, not pooled features; by them an unrelated pair has .982."
)

_RECOVERED = {
    "VGG16": ((0.998, 0.989, 0.832), (0.200, 0.593, 0.832), (0.333, 0.742, 0.832)),
    "DenseNet201": ((0.941, 0.745, 0.491), (0.188, 0.447, 0.491), (0.314, 0.559, 0.491)),
    "ResNet152": ((0.925, 0.674, 0.445), (0.185, 0.404, 0.445), (0.308, 0.506, 0.445)),
}
_PRINTED = {("ResNet152", "precision", 3), ("ResNet152", "recall", 3), ("ResNet152", "f1", 3)}
_ART_PROTOCOL = (
    "989 works of MoMA; searched by Annoy alone (angular, 50 trees); its code leaves the networks "
    "in training mode and does not normalise by ImageNet's mean and deviation, so a correct "
    "pipeline is not expected to give its figures."
)


def _modifications() -> Iterable[Published]:
    for model, medians in _MEDIANS.items():
        protocol = (
            f"{_COUNTS[model]} originals, other ones than here; a median alone, without interval, "
            "random-pair baseline or separation."
        ) + (_LOGITS if model == "ResNet50 logits" else "")
        for change, value in zip(MODIFICATIONS, medians, strict=True):
            yield Published("modifications", model, "median", change, 0, value, _AINA, protocol)


def _recovery() -> Iterable[Published]:
    for model, figures in _RECOVERED.items():
        for name, values in zip(("precision", "recall", "f1"), figures, strict=True):
            for k, value in zip((1, 3, 5), values, strict=True):
                read = "" if (model, name, k) in _PRINTED else " Read off a plot, ±.005."
                protocol = _ART_PROTOCOL + read
                yield Published("recovery", model, name, "", k, value, _ART, protocol)


def _retrieval() -> Iterable[Published]:
    protocol = (
        "Cats and dogs, two labels, networks trained on them; its MAP divides by the number of "
        "queries."
    )
    for model, figure, value in (
        ("CNN", "precision", 0.82),
        ("CNN", "map", 0.9786),
        ("autoencoder", "precision", 0.80),
        ("Siamese", "precision", 0.4820),
        ("Siamese", "map", 0.4940),
    ):
        yield Published("retrieval", model, figure, "", 5, value, _CATS, protocol)


#: Every published figure that a study measures too.
PUBLISHED = (*_modifications(), *_recovery(), *_retrieval())


def published_name(model: str) -> str | None:
    """Return the sources' name of a model; None where they published nothing of it."""
    base, _, variants = model.partition("@")
    if set(variants.split("@")) - {"", "fast"}:
        return None
    base = re.sub("[^a-z0-9]", "", base.lower())
    return next((name for name, known in NAMES.items() if re.fullmatch(known, base)), None)


def published(
    study: str, models: Iterable[str], changes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the published figures of models, for a kind of study.

    Args:
        study: the kind.
        models: our full names; nothing was published of variants that keep pictures at their own
            size or reduce their vectors.
        changes: of the study; recovery was published of the five profiles alone.

    Returns:
        The fields of `Published` as JSON values, with "ours": our name of the model.
    """
    found: list[dict[str, Any]] = []
    if study == "recovery" and tuple(changes) != tuple(PROFILES):
        return found
    for model in models:
        name = published_name(model)
        found += [
            {**asdict(one), "ours": model}
            for one in PUBLISHED
            if one.study == study and one.model == name
        ]
    return found


def published_table(run: Run) -> Table:
    """Return what the sources published of the study's models, beside ours."""
    ours = {row.key: row for row in rows(run)}
    lines = []
    for one in run.results["published"]:
        what, figure = one["change"] or "all", one["figure"]
        lines.append(
            [
                one["ours"],
                what,
                TITLES.get(figure, figure) + (f"@{one['k']}" if one["k"] else ""),
                _text(ours.get((one["ours"], what, one["k"], figure))),
                decimal_text(one["value"]),
                one["source"],
                one["protocol"],
            ]
        )
    header = ["model", "of", "figure", "ours", "published", "source", "what was done otherwise"]
    return header, lines


def _text(row: Row | None) -> str:
    if row is None or row.low is None or row.high is None:
        return ""
    return estimate_text(row.value, (row.low, row.high))
