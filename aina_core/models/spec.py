"""A model as AINA knows it: one small spec, and the registry of specs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aina_core.errors import UnknownNameError


@dataclass(frozen=True)
class Recipe:
    """A model's own preprocessing: a resize, a centre crop, then (pixel − mean) / std.

    Attributes:
        resize: short side after the resize, in pixels; antialiased, bicubic or bilinear.
        crop: side of the centre crop, in pixels: what the network takes.
        mean: per channel, of pixels scaled to 0 … 1.
        std: per channel, of pixels scaled to 0 … 1.
        interpolation: "bicubic" or "bilinear", as Pillow defines them.
        squash: both sides become `resize`, whatever the picture's shape.
        native: where not 0, none of these holds: a picture keeps its own size and shape, up to so
            many pixels on its longer side (see `embedding.view`).
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    squash: bool = False
    native: int = 0


class Network(Protocol):
    """What a family builds: a torch module in eval mode.

    Called with float32 (n, 3, crop, crop), normalised by the recipe, it returns the embeddings,
    float32 (n, dim), not yet of unit length. All torch modules' methods are there too.
    """

    def __call__(self, pictures: Any) -> Any: ...

    def classify(self, embeddings: Any) -> Any:
        """Return logits, float32 (n, classes), of embeddings that are not of unit length.

        Only where the spec names classes.
        """
        ...

    def encode_text(self, texts: list[str]) -> Any:
        """Return embeddings of texts, float32 (n, dim), not yet of unit length.

        Only where the spec says that there is a text tower.
        """
        ...


class Source(Protocol):
    """Where weights come from (see `weights.py`).

    Attributes:
        file: the published file's name, or its path below the folder where it is looked for.
        size: of that file in bytes, as published; 0 where that is not known.
        origin: where it comes from, for people: a package or an address.
    """

    @property
    def file(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def origin(self) -> str: ...

    def locate(self) -> Path:
        """Return the verified file of weights.

        Raises:
            WeightsMissingError: it is not on this machine; the message says how to get it.
            WeightsRefusedError: it is not the published file.
        """
        ...


@dataclass(frozen=True)
class ModelSpec:
    """One registered model.

    Attributes:
        name: the name that people type.
        family: the architecture's family.
        dim: length of an embedding.
        recipe: its preprocessing.
        weights: where its weights come from.
        network: builds the network with random weights.
        load: fills a network from the located file, and refuses what does not fit.
        license: of the weights.
        paper: where it was published.
        layer: dotted name of the module inside the network whose output, float32
            (n, channels, height, width) or tokens, explanations read; empty where none can.
        prefix_tokens: how many tokens stand before those of places, where `layer` gives tokens
            (n, tokens, channels); None where it gives maps.
        classes: what `Network.classify` tells apart: "imagenet-1k", or the path of a text file with
            a name a line; empty for nothing.
        text: whether the network has a text tower.
        convolutional: whether it takes pictures of any size.
        pairs: whether the network says of two embeddings how likely they are of one kind
            (`pair_logits`, see `encoders.py`).
    """

    name: str
    family: str
    dim: int
    recipe: Recipe
    weights: Source
    network: Callable[[], Network]
    load: Callable[[Any, Path], None]
    license: str
    paper: str
    layer: str = ""
    prefix_tokens: int | None = None
    classes: str = ""
    text: bool = False
    convolutional: bool = False
    pairs: bool = False


def load_network(spec: ModelSpec) -> Any:
    """Return a model's network with its weights: a torch module in eval mode, on the CPU.

    Raises:
        ModelError: its weights are missing or refused.
    """
    path = spec.weights.locate()
    network: Any = spec.network()
    spec.load(network, path)
    return network.eval()


_SPECS: dict[str, ModelSpec] = {}
_SCHEMES: dict[str, Callable[[str], ModelSpec]] = {}
_FINDERS: list[tuple[Callable[[str], ModelSpec | None], Callable[[], list[str]]]] = []


def register(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry.

    Raises:
        ValueError: the name is taken.
    """
    if spec.name in _SPECS:
        raise ValueError(f"A model named {spec.name!r} is registered already.")
    _SPECS[spec.name] = spec
    return spec


def register_scheme(prefix: str, resolve: Callable[[str], ModelSpec]) -> None:
    """Register a function that resolves names `PREFIX:ANYTHING` to specs.

    Raises:
        ValueError: the prefix is taken.
    """
    if prefix in _SCHEMES:
        raise ValueError(f"Names that begin with {prefix}: are resolved already.")
    _SCHEMES[prefix] = resolve


def register_finder(
    find: Callable[[str], ModelSpec | None], names: Callable[[], list[str]]
) -> None:
    """Register a finder for names that are not registered.

    Args:
        find: from a name to its spec; None where it is unknown there.
        names: those that are known there.
    """
    _FINDERS.append((find, names))


def get(name: str) -> ModelSpec:
    """Return the model of a name, without a variant: registered, found elsewhere, or of a scheme.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
        InputError: the name belongs to a scheme, which cannot resolve it.
    """
    if name in _SPECS:
        return _SPECS[name]
    prefix, colon, rest = name.partition(":")
    if colon and rest and prefix in _SCHEMES:
        return _SCHEMES[prefix](name)
    for find, _ in _FINDERS:
        if (found := find(name)) is not None:
            return found
    elsewhere = [other for _, names in _FINDERS for other in names()]
    known = [*_SPECS, *elsewhere, *(f"{prefix}:…" for prefix in _SCHEMES)]
    raise UnknownNameError("model", name, known)


def registered() -> tuple[str, ...]:
    """Return the registered names in the order in which they are offered."""
    return tuple(_SPECS)
