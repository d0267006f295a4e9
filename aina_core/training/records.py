"""What is recorded of a training that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from aina_core.gallery import Gallery
from aina_core.models import checksum, get
from aina_core.models.trained import FORMAT
from aina_core.training.checkpoints import Curves
from aina_core.training.evaluation import Judged, gained
from aina_core.training.networks import architecture
from aina_core.training.plan import Plan
from aina_core.training.settings import Settings

_LIBRARIES = ("numpy", "pillow", "pytorch-metric-learning", "torch", "torchvision")
#: What is judged: all changes, and, where some are held out, those alone.
ALL, UNSEEN = "all", "unseen"


def gains(
    settings: Settings,
    before: Mapping[str, Judged],
    after: Mapping[str, Judged],
    ranked: Mapping[str, Judged],
) -> dict[str, Any]:
    """Return the parts of the table at the end.

    Args:
        settings: what was asked for.
        before: by part, of the untrained network or the frozen trunk.
        after: by part, of the trained network's embeddings.
        ranked: by part, with neighbours ranked by a head for pairs; empty where there is none.

    Returns:
        A part with {"before", "after", "intervals", "recovery_r_precision"}, with "reranked" and
        "unseen" in it, which are such parts, where they apply.
    """
    parts = {name: gained(judged, after[name], settings.seed) for name, judged in before.items()}
    for name, judged in ranked.items():
        parts[name]["reranked"] = gained(before[name], judged, settings.seed)
    found = parts[ALL]
    if UNSEEN in parts:
        found["unseen"] = {"changes": list(settings.hold_out), **parts[UNSEEN]}
    return found


def manifest_of(
    settings: Settings, made: Plan, gallery: Gallery, curves: Curves, result: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a trained model, but for the checksum of its weights.

    Args:
        settings: what was asked for.
        made: who was trained on and held out.
        gallery: of the originals.
        curves: how it went.
        result: what the command line prints.
    """
    base = settings.model
    ids = {
        part: [made.originals[place].id for place in getattr(made.split, part)]
        for part in ("train", "validation", "test")
    }
    return {
        "format": FORMAT,
        "name": settings.name,
        "kind": settings.kind,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "architecture": architecture(settings).as_dict(),
        "trunk_trained": not settings.frozen,
        "base_sha256": checksum(get(base).weights.locate()) if base else "",
        "settings": settings.as_dict(),
        "data": {
            "gallery": gallery.name,
            "folder": str(gallery.root),
            "catalogue": gallery.catalogue.version(),
            "split": ids,
        },
        "curves": curves.as_dict(),
        "result": result,
        "versions": {name: version(name) for name in _LIBRARIES},
    }
