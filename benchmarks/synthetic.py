"""Galleries of made-up vectors, for benchmarks and tests that need many and no pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from aina_core.gallery import Annotation, Gallery, ImageRecord, create
from aina_core.gallery.vectors.generation import Row


def clusters(
    count: int, dim: int, *, groups: int = 40, spread: float = 0.5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw unit rows around random centres, scattered in few directions as embeddings are.

    Args:
        count: how many.
        dim: their length.
        groups: how many centres.
        spread: of a group, relative to the distance of centres.
        seed: of everything.

    Returns:
        Vectors float32 (count, dim) and the group of each, int64 (count,).
    """
    rng = np.random.default_rng(seed)
    inner = min(dim, 8)  # directions in which a group's members differ
    centres = rng.normal(size=(groups, dim)) / np.sqrt(dim)
    bases = rng.normal(size=(groups, inner, dim)) / np.sqrt(inner * dim)
    chosen = rng.integers(groups, size=count)
    rows = centres[chosen] + 0.05 * rng.normal(size=(count, dim)) / np.sqrt(dim)
    for group in range(groups):
        members = np.flatnonzero(chosen == group)
        rows[members] += spread * rng.normal(size=(len(members), inner)) @ bases[group]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), chosen


def gallery_of(
    name: str, model: str, vectors: np.ndarray, labels: Sequence[str] | None = None
) -> Gallery:
    """Make a gallery, or replace its vectors; its images exist in name only.

    Args:
        name: of the gallery.
        model: under which the vectors are stored.
        vectors: float32 (n, dim), unit rows; row i is of the image "0000i.jpg".
        labels: of each image.
    """
    gallery = create(name, None)
    ids = [f"{number:07d}.jpg" for number in range(len(vectors))]
    checksums = [hashlib.sha256(key.encode()).hexdigest() for key in ids]
    rows = list(zip(ids, checksums, strict=True))
    gallery.catalogue.record(ImageRecord(*row[:1], 1, 1, row[1], 10, 10) for row in rows)
    if labels is not None:
        notes = (Annotation(label) for label in labels)
        gallery.catalogue.annotate(zip(ids, notes, strict=True))
    store = gallery.store(model)
    journal = store.journal({"dim": vectors.shape[1]})
    journal.append(rows, vectors, np.ones(len(rows), np.float32))
    journaled = (Row(*key, True, number) for number, key in enumerate(rows))
    store.commit(journaled, len(rows), journal, None, {"computed_on": [], "versions": {}})
    return gallery
