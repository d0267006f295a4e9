"""The settings of a projection."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from aina_core.errors import InputError, UnknownNameError
from aina_core.search.neighbours import MAX_COMPONENTS, MOST_NEIGHBOURS

#: The methods, the default first.
METHODS = ("umap", "tsne", "pca")

_MAX_PERPLEXITY = MOST_NEIGHBOURS / 3  # t-SNE looks at three times as many neighbours


@dataclass(frozen=True)
class Settings:
    """A method and its main parameters; a method ignores those of the others.

    Attributes:
        method: one of `METHODS`.
        dims: 2 or 3, how many coordinates a point has.
        seed: 0 to 2³² − 1, of every random choice; the same seed gives the same coordinates.
        components: for umap and tsne: neighbours and distances are those among the vectors on
            their so many first principal components (a source project of AINA takes 100); 0 for
            the vectors as they are, by their cosine.
        neighbours: for umap, 2 to 150: the size of a neighbourhood. Few show detail,
            many the overall shape.
        min_dist: for umap, 0 to 1: how near points may come to each other on the map.
        perplexity: for tsne, 1 to 50: about the size of a neighbourhood.

    Raises:
        InputError: a value out of its range; an unknown method.
    """

    method: str = "umap"
    dims: int = 2
    seed: int = 0
    components: int = 0
    neighbours: int = 15
    min_dist: float = 0.1
    perplexity: float = 30.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError("projection method", self.method, METHODS)
        _check("dims", self.dims, 2, 3, whole=True)
        _check("seed", self.seed, 0, 2**32 - 1, whole=True)
        _check("components", self.components, 0, MAX_COMPONENTS, whole=True)
        _check("neighbours", self.neighbours, 2, MOST_NEIGHBOURS, whole=True)
        _check("min_dist", self.min_dist, 0, 1)
        _check("perplexity", self.perplexity, 1, _MAX_PERPLEXITY)

    def relevant(self) -> dict[str, Any]:
        """Return the settings that change what this method computes, by name."""
        of_method = {
            "umap": ("components", "neighbours", "min_dist"),
            "tsne": ("components", "perplexity"),
            "pca": (),
        }
        names = ("method", "dims", "seed", *of_method[self.method])
        floats = ("min_dist", "perplexity")  # which may have been given as whole numbers
        values = {name: value for name, value in asdict(self).items() if name in names}
        return {n: float(v) if n in floats else v for n, v in values.items()}

    def key(self) -> str:
        """Return a file name that is the same exactly for settings with the same result."""
        parts = [
            f"{name}{value}"
            for name, value in self.relevant().items()
            if name not in ("method", "dims")
        ]
        return "-".join([self.method, f"{self.dims}d", *parts])


def _check(name: str, value: float, least: float, most: float, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name} is {kind} from {least:g} to {most:g}, not {value!r}.")
