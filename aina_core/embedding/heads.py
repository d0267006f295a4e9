"""The parts of a network that see no picture: the head of its classes, its text tower, and the head
that was trained to judge pairs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.errors import InputError
from aina_core.models import ModelSpec, load_network

if TYPE_CHECKING:
    import torch

#: How many rows, or texts, are computed at once.
_ROWS, _TEXTS = 4096, 64


class Heads:
    """A model's classes, texts and pairs by torch on the CPU, loaded when first asked for.

    Of the network only the weights that these parts use stay in memory. Safe to share between
    threads.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._network: Any = None

    def _loaded(self) -> Any:
        with self._lock:
            if self._network is None:
                network = load_network(self._spec)
                probes: list[Callable[[], Any]] = []
                if self._spec.classes:
                    probes.append(lambda: network.classify(_zeros(self._spec.dim)))
                if self._spec.text:
                    probes.append(lambda: network.encode_text(["a"]))
                if self._spec.pairs:
                    zeros = _zeros(self._spec.dim)
                    probes.append(lambda: network.pair_logits(zeros, zeros))
                _keep_only(network, probes)
                self._network = network
            return self._network

    @property
    def bytes(self) -> int:
        """The memory that the weights take: none before their first use."""
        network = self._network
        return 0 if network is None else sum(w.nbytes for w in network.parameters())

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Return logits, float32 (n, classes), of embeddings, float32 (n, dim), not made units."""
        import torch

        network = self._loaded()
        with torch.inference_mode():
            rows: np.ndarray = network.classify(torch.from_numpy(embeddings)).float().numpy()
        return rows

    def probabilities(
        self, rows: np.ndarray, norms: np.ndarray, chosen: int | None
    ) -> Iterator[np.ndarray]:
        """Yield the softmax of blocks of rows, float32 (b, classes), or (b,) of a chosen class.

        Args:
            rows: float32 (n, dim), unit rows; may be a memory map.
            norms: float32 (n,), the length that each had before.
            chosen: a class, by its place; None for all.
        """
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            logits = self.logits(np.asarray(rows[part]) * np.asarray(norms[part])[:, None])
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))  # (b, classes)
            wanted = raised if chosen is None else raised[:, chosen : chosen + 1]
            shares = wanted / raised.sum(axis=1, keepdims=True)
            yield shares if chosen is None else shares[:, 0]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit rows, float32 (n, dim), of texts."""
        import torch

        network, found = self._loaded(), [np.empty((0, self._spec.dim), np.float32)]
        for start in range(0, len(texts), _TEXTS):
            with torch.inference_mode():
                rows = network.encode_text(list(texts[start : start + _TEXTS])).float()
                found.append(torch.nn.functional.normalize(rows, dim=1).numpy())
        return np.concatenate(found)

    def pairs(self, vector: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return how likely a picture and each of others are of one kind, float32 (n,) in [0, 1].

        A pair has no order: where the head tells its first picture from its second ("concat"), the
        logits of both orders are averaged, as they are when it is trained and judged.

        Args:
            vector: float32 (dim,), of unit length.
            rows: float32 (n, dim), unit rows; may be a memory map.
        """
        import torch

        network, found = self._loaded(), [np.empty(0, np.float32)]
        query = torch.from_numpy(np.array(vector, np.float32))[None]
        for start in range(0, len(rows), _ROWS):
            others = torch.from_numpy(np.array(rows[start : start + _ROWS], np.float32))
            one = query.expand(len(others), -1)  # (b, dim)
            with torch.inference_mode():
                logits = (network.pair_logits(one, others) + network.pair_logits(others, one)) / 2
                found.append(logits.float().sigmoid().numpy())
        return np.concatenate(found)


def demand_pairs(spec: ModelSpec) -> None:
    """Require a model that judges pairs.

    Raises:
        InputError: it has no head for pairs.
    """
    if not spec.pairs:
        raise InputError(
            f"{spec.name} has no head that judges pairs; models of the kind siamese-dense have "
            "one: train one by python -m aina_core train siamese-dense, and index by it."
        )


def _zeros(dim: int) -> torch.Tensor:
    import torch

    return torch.zeros(1, dim, requires_grad=True)


def _keep_only(network: Any, probes: Sequence[Callable[[], Any]]) -> None:
    """Empty the weights of a network that the given computations do not use.

    The graph of their gradients tells which they use; without one all are kept.
    """
    import torch

    network.requires_grad_(True)
    used: set[int] = set()
    with torch.enable_grad():
        for probe in probes:
            result = probe()
            if not result.requires_grad:
                network.requires_grad_(False)
                return
            seen, waiting = set(), [result.grad_fn]
            while waiting:
                node = waiting.pop()
                if node is not None and node not in seen:
                    seen.add(node)
                    waiting.extend(before for before, _ in node.next_functions)
            used |= {id(node.variable) for node in seen if hasattr(node, "variable")}
    network.requires_grad_(False)
    for weight in network.parameters():
        if id(weight) not in used:
            weight.data = torch.empty(0)
