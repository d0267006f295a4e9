"""The dense head at work: how likely two images are of one kind, and neighbours in that order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from aina_core.errors import InputError
from aina_core.models import get, load_network
from aina_core.search import Neighbour, Searcher


class PairJudge:
    """A trained head for pairs, on the CPU. Safe to share between threads.

    Args:
        model: name of a model that was trained as siamese-dense.

    Raises:
        InputError: the model has no head for pairs.
    """

    def __init__(self, model: str) -> None:
        spec = get(model)
        if not spec.pairs:
            raise InputError(
                f"{model} was not trained to judge pairs; train one: "
                "python -m aina_core train siamese-dense"
            )
        self.model = model
        self._network: Any = load_network(spec).requires_grad_(False)
        self._network.trunk = None  # embeddings are given
        self._lock = threading.Lock()

    def probabilities(self, vector: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return how likely each row is of one kind with a query, float32 (n,) in [0, 1].

        It is the same whichever of the two comes first.

        Args:
            vector: float32 (dim,), of unit length.
            rows: float32 (n, dim), unit rows.
        """
        import torch

        query = torch.from_numpy(np.array(vector, np.float32))[None].expand(len(rows), -1)
        others = torch.from_numpy(np.array(rows, np.float32))
        with self._lock, torch.inference_mode():
            logits = self._network.pair_logits(query, others)
            logits = (logits + self._network.pair_logits(others, query)) / 2
            found: np.ndarray = logits.sigmoid().numpy()
        return found

    def order(
        self, searcher: Searcher, vector: np.ndarray, hits: Sequence[Neighbour]
    ) -> list[tuple[Neighbour, float]]:
        """Return hits with their probabilities, the most likely first; equal ones as they came.

        Args:
            searcher: the gallery under this model.
            vector: float32 (dim,), the query's embedding.
            hits: of the gallery.
        """
        if not hits:
            return []
        rows = searcher.vectors([hit.id for hit in hits])
        likely = self.probabilities(vector, rows)
        places = np.argsort(-likely, kind="stable")
        return [(hits[place], float(likely[place])) for place in places]
