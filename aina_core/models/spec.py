"""What a model is to AINA: one small spec, and the registry that holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aina_core.errors import InputError, UnknownNameError
from aina_core.models.weights import PackageFile

if TYPE_CHECKING:
    from torch import nn

EXACT, FAST = "exact", "fast"
MODES = (EXACT, FAST)


@dataclass(frozen=True)
class Recipe:
    """A model's own preprocessing: short side, centre crop, then (pixel − mean) / std.

    Attributes:
        resize: short side after the resize, in pixels; antialiased, bicubic or bilinear.
        crop: side of the centre crop, in pixels.
        mean: per channel, of pixels scaled to 0 … 1.
        std: per channel, of pixels scaled to 0 … 1.
        interpolation: "bicubic" or "bilinear", as Pillow defines them.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"


@dataclass(frozen=True)
class ModelSpec:
    """One registered model.

    Attributes:
        name: the name that people type.
        family: the architecture's family.
        dim: length of an embedding.
        recipe: its preprocessing.
        weights: where its weights come from.
        build: from the weights' tensors to a torch module in eval mode that maps float32
            (n, 3, crop, crop), normalised, to float32 (n, dim), not yet of unit length.
        license: of the weights.
        paper: where it was published.
    """

    name: str
    family: str
    dim: int
    recipe: Recipe
    weights: PackageFile
    build: Callable[[dict[str, Any]], nn.Module]
    license: str
    paper: str


@dataclass(frozen=True)
class ModelName:
    """A model's name with its variant: `efficientnet-lite0`, `efficientnet-lite0@fast`.

    Attributes:
        base: the registered name.
        mode: "exact" or "fast".
    """

    base: str
    mode: str = EXACT

    def __str__(self) -> str:
        return self.base if self.mode == EXACT else f"{self.base}@{self.mode}"

    @classmethod
    def parse(cls, text: str, mode: str | None = None) -> ModelName:
        """Read a name as people type it; a `mode` given beside it must not contradict it.

        Raises:
            InputError: the variant is unknown, or `mode` contradicts it.
            UnknownNameError: no model of that name is registered.
        """
        base, _, variant = text.partition("@")
        get(base)
        if variant and variant != FAST:
            raise InputError(f"The model {base} has no variant {variant!r}; it has: {FAST}.")
        if mode is not None and mode not in MODES:
            raise InputError(f"There is no mode {mode!r}; choose from: {', '.join(MODES)}.")
        if variant == FAST and mode == EXACT:
            raise InputError(f"{text} is the fast variant and cannot run in exact mode.")
        return cls(base, FAST if FAST in (variant, mode) else EXACT)


_SPECS: dict[str, ModelSpec] = {}


def register(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry.

    Raises:
        ValueError: the name is taken.
    """
    if spec.name in _SPECS:
        raise ValueError(f"A model named {spec.name!r} is registered already.")
    _SPECS[spec.name] = spec
    return spec


def get(name: str) -> ModelSpec:
    """Return the model registered under a name, without a variant.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
    """
    try:
        return _SPECS[name]
    except KeyError:
        raise UnknownNameError("model", name, _SPECS) from None


def names() -> tuple[str, ...]:
    """Return the registered names in the order in which they are offered."""
    return tuple(_SPECS)
