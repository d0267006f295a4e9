"""Annoy: a forest of trees that split at random hyperplanes (Spotify, github.com/spotify/annoy)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

_TREES = 40
_NODES_PER_CANDIDATE = 25  # looking at more is cheaper than re-ranking more


class AnnoyBackend:
    """Angular Annoy. Its files are byte-identical for one seed, built as they are on one thread."""

    kind = "annoy"
    package = "annoy"
    settings = {"trees": _TREES, "nodes_per_candidate": _NODES_PER_CANDIDATE}  # noqa: RUF012  read only

    def build(
        self, blocks: Iterable[np.ndarray], count: int, dim: int, path: Path, seed: int
    ) -> None:
        from annoy import AnnoyIndex

        forest = AnnoyIndex(dim, "angular")
        forest.set_seed(seed)
        rows = (row for block in blocks for row in block.tolist())
        for number, row in enumerate(rows):
            forest.add_item(number, row)
        forest.build(_TREES, n_jobs=1)  # more threads would not be reproducible
        forest.save(str(path))

    def open(self, path: Path, count: int, dim: int) -> AnnoyProposer:
        return AnnoyProposer(path, dim)


class AnnoyProposer:
    """A memory-mapped forest.

    Annoy ends the process over a damaged file: verify it before it is opened.
    """

    def __init__(self, path: Path, dim: int) -> None:
        from annoy import AnnoyIndex

        self._forest = AnnoyIndex(dim, "angular")
        self._forest.load(str(path))

    def propose(self, query: np.ndarray, wanted: int) -> Sequence[int]:
        return self._forest.get_nns_by_vector(query.tolist(), wanted, _NODES_PER_CANDIDATE * wanted)
