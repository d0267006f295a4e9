"""HNSW: a graph of near rows in layers (Malkov and Yashunin, 2016), by hnswlib.

hnswlib is optional; the index says how to install it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aina_core.errors import InputError

_LINKS = 16
_EFFORT = 200  # candidates looked at for the links of a new row


class HnswBackend:
    """hnswlib with cosine similarity."""

    kind = "hnsw"
    package = "hnswlib"
    settings = {"links": _LINKS, "effort": _EFFORT}  # noqa: RUF012  read only

    def require(self) -> None:
        if importlib.util.find_spec("hnswlib") is None:
            raise InputError("The hnsw index needs a package; run: pip install hnswlib")

    def build(
        self, blocks: Iterable[np.ndarray], count: int, dim: int, path: Path, seed: int
    ) -> None:
        import hnswlib

        graph = hnswlib.Index("cosine", dim)
        graph.init_index(count, M=_LINKS, ef_construction=_EFFORT, random_seed=seed)
        for block in blocks:
            graph.add_items(block, num_threads=1)  # more threads would not be reproducible
        graph.save_index(str(path))

    def open(self, path: Path, count: int, dim: int) -> HnswProposer:
        return HnswProposer(path, count, dim)


class HnswProposer:
    """A loaded graph."""

    def __init__(self, path: Path, count: int, dim: int) -> None:
        import hnswlib

        self._graph = hnswlib.Index("cosine", dim)
        self._graph.load_index(str(path), max_elements=count)

    def propose(self, query: np.ndarray, wanted: int) -> Sequence[int]:
        try:
            rows, _ = self._graph.knn_query(query, wanted, num_threads=1)
        except RuntimeError:  # many equal rows can cut the graph: fewer than wanted are in reach
            return []
        return rows[0].astype(np.int64)
