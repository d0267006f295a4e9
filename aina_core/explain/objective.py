"""A target under one model: the score whose gradients are taken, and the one that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aina_core import models
from aina_core.explain.network import OpenNetwork
from aina_core.explain.targets import CLASS, SIMILARITY, Target, class_index

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Question:
    """A target under one model.

    Attributes:
        objective: embeddings (n, dim), not of unit length → float32 (n,), what gradients are taken
            of: the cosine, or the class's logit; its negative for the opposite.
        score: embeddings (n, dim) → float32 (n,), what people are shown: the cosine, or the class's
            probability; never negated.
        spread: what counts as a large change of the objective.
        opposite: as in the target.
        name: the target in words.
        of_similarity: whether the score is the cosine to a picture.
    """

    objective: Callable[[torch.Tensor], torch.Tensor]
    score: Callable[[torch.Tensor], torch.Tensor]
    spread: Callable[[torch.Tensor], float]
    opposite: bool
    name: str
    of_similarity: bool

    def cosine(self, score: float) -> float | None:
        """A score as the cosine of two pictures; None where it is something else."""
        return score if self.of_similarity else None


def question(network: OpenNetwork, target: Target) -> Question:
    """Put a target to a network that can answer it.

    Raises:
        InputError: the class does not exist.
    """
    sign = -1.0 if target.opposite else 1.0
    if target.kind == CLASS:
        names = models.class_names(network.spec)
        index = class_index(names, target.wanted if target.wanted is not None else "")
        classify = network.classify
        return Question(
            lambda e: sign * classify(e)[:, index],
            lambda e: classify(e).softmax(1)[:, index],
            lambda e: float(classify(e).std()),
            target.opposite,
            str(Target(CLASS, wanted=names[index], opposite=target.opposite)),
            False,
        )
    other = network.unit(_reference(network, target))  # (1, dim)

    def cosine(embeddings: torch.Tensor) -> torch.Tensor:
        return (network.unit(embeddings) * other).sum(1)

    return Question(
        lambda e: sign * cosine(e),
        lambda e: cosine(e).clamp(-1, 1),
        lambda e: 1.0,
        target.opposite,
        str(target),
        target.kind == SIMILARITY,
    )


def _reference(network: OpenNetwork, target: Target) -> torch.Tensor:
    """The embedding to compare with, float32 (1, dim)."""
    if target.kind == SIMILARITY:
        assert target.reference is not None  # checked by `similarity_target`
        return network.embed(network.see(target.reference)[None])
    return network.encode_text(target.text)
