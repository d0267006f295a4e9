"""HNSW: a graph of near rows in layers (Malkov and Yashunin, 2016), by usearch.

usearch is optional; the index says how to install it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_LINKS = 16
_EFFORT = 200  # candidates looked at for the links of a new row


class UsearchBackend:
    """usearch with cosine similarity. Built on one thread, its files are byte-identical."""

    kind = "hnsw"
    package = "usearch"
    settings = {"links": _LINKS, "effort": _EFFORT}  # noqa: RUF012  read only

    def build(
        self, blocks: Iterable[np.ndarray], count: int, dim: int, path: Path, seed: int
    ) -> None:
        from usearch.index import Index  # it takes no seed: its own is always the same

        graph = Index(
            ndim=dim,
            metric="cos",
            dtype="f32",
            connectivity=_LINKS,
            expansion_add=_EFFORT,
            enable_key_lookups=False,
        )
        for block in blocks:
            rows = np.arange(len(graph), len(graph) + len(block), dtype=np.uint64)
            graph.add(rows, block, threads=1)  # more threads would not be reproducible
        graph.save(path)

    def open(self, path: Path, count: int, dim: int) -> UsearchProposer:
        return UsearchProposer(path, dim)


class UsearchProposer:
    """A memory-mapped graph.

    usearch trusts its files: verify one before it is opened.
    """

    def __init__(self, path: Path, dim: int) -> None:
        from usearch.index import Index

        self._graph = Index(ndim=dim, metric="cos", dtype="f32", enable_key_lookups=False)
        self._graph.view(path)
        self._lock = threading.Lock()  # searches on one thread share its scratch memory

    def propose(self, query: np.ndarray, wanted: int) -> np.ndarray:
        with self._lock:
            found = self._graph.search(query, wanted, threads=1).keys
        return found.astype(np.int64)
