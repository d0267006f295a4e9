"""Names with variants: `resnet18@native`, `resnet18@fast`, `resnet18@pca100`, and all of them."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from aina_core.errors import InputError
from aina_core.models.spec import ModelSpec, get

EXACT, FAST = "exact", "fast"
MODES = (EXACT, FAST)
NATIVE = "native"
#: Longer side of a picture that keeps its own size, in pixels. Networks are trained on 224 to 300
#: pixels, and recognise less when things appear much larger than then (Touvron et al., Fixing the
#: train-test resolution discrepancy, 2019); the work grows with the square, here to about 6 times
#: that of 224 × 224 for a photograph of 4:3.
NATIVE_SIDE = 640

_REDUCED = re.compile(r"pca0*([0-9]{1,6})")
_FEWEST_COMPONENTS = 2  # on one axis every two pictures are either equal or opposite


@dataclass(frozen=True)
class ModelName:
    """A model's name with its variant.

    Attributes:
        base: the registered name.
        mode: "exact" or "fast".
        native: whether pictures keep their own size (see `embedding.view`).
        components: how many principal components of a gallery's vectors its reduced vectors have;
            0 where they are not reduced.
    """

    base: str
    mode: str = EXACT
    native: bool = False
    components: int = 0

    def __str__(self) -> str:
        """The name in its one spelling: base@native@fast@pcaN."""
        variants = [NATIVE] * self.native + [FAST] * (self.mode == FAST)
        if self.components:
            variants.append(f"pca{self.components}")
        return "@".join([self.base, *variants])

    @property
    def source(self) -> ModelName:
        """The model that embeds pictures: this one, but for the reduction."""
        return dataclasses.replace(self, components=0)

    @property
    def exact(self) -> ModelName:
        """The same in exact mode."""
        return dataclasses.replace(self, mode=EXACT)

    def spec(self) -> ModelSpec:
        """Return the registered spec, with the preprocessing of the variant.

        Raises:
            UnknownNameError: the model is not registered.
        """
        spec = get(self.base)
        if not self.native:
            return spec
        return dataclasses.replace(
            spec, recipe=dataclasses.replace(spec.recipe, native=NATIVE_SIDE)
        )

    @classmethod
    def parse(cls, text: str, mode: str | None = None) -> ModelName:
        """Read a name as people type it, its variants in any order.

        Args:
            text: the name.
            mode: "exact" or "fast", given beside it; must not contradict it.

        Raises:
            InputError: a variant is unknown or not possible, or `mode` contradicts it.
            UnknownNameError: no model of that name is registered.
        """
        base, *variants = text.split("@")
        spec = get(base)
        if mode is not None and mode not in MODES:
            raise InputError(f"There is no mode {mode!r}; choose from: {', '.join(MODES)}.")
        components = 0
        for variant in variants:
            reduced = _REDUCED.fullmatch(variant)
            if reduced and not components:
                components = _checked_components(spec, int(reduced[1]))
            elif reduced or (variant in (FAST, NATIVE) and variants.count(variant) > 1):
                raise InputError(f"The name {text} gives a variant twice; give each once.")
            elif variant not in (FAST, NATIVE):
                raise InputError(
                    f"The model {base} has no variant {variant!r}; it has: {_possible(spec)}."
                )
        if NATIVE in variants and not spec.convolutional:
            raise InputError(
                f"The model {base} has no variant native: its network takes pictures of "
                f"{spec.recipe.crop} × {spec.recipe.crop} pixels only; leave {NATIVE} out."
            )
        if FAST in variants and mode == EXACT:
            raise InputError(f"{text} is the fast variant and cannot run in exact mode.")
        settled = FAST if FAST in (*variants, mode) else EXACT
        return cls(base, settled, NATIVE in variants, components)


def _checked_components(spec: ModelSpec, count: int) -> int:
    if not _FEWEST_COMPONENTS <= count < spec.dim:
        raise InputError(
            f"The embeddings of {spec.name} have {spec.dim} numbers and cannot be reduced to "
            f"{count}; choose pca{_FEWEST_COMPONENTS} to pca{spec.dim - 1}."
        )
    return count


def _possible(spec: ModelSpec) -> str:
    """The variants that a model has, for people."""
    named = [FAST, NATIVE] if spec.convolutional else [FAST]
    return ", ".join([*named, f"pcaN with N from {_FEWEST_COMPONENTS} to {spec.dim - 1}"])
