"""A model that explains itself: maps, classes, similarities, checks."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from aina_core import images, models
from aina_core.embedding import settled_device
from aina_core.embedding.runtimes import choose
from aina_core.errors import InputError, UnknownNameError
from aina_core.explain import faithfulness, flatness, gradients, occlusion, places
from aina_core.explain.explanation import Crop, Explanation, enlarge
from aina_core.explain.network import OpenNetwork
from aina_core.explain.objective import Question, question
from aina_core.explain.targets import CLASS, KINDS, TEXT, Target, checked
from aina_core.models import EXACT, FAST, ModelName, ModelSpec

#: Grad-CAM first; occlusion needs neither a layer nor gradients.
METHODS = (*gradients.METHODS, occlusion.NAME)
PLACES = "places"


def load_explainer(model: str, *, device: str | None = None) -> Explainer:
    """Load a model, ready to explain.

    Args:
        model: a registered name, with or without a variant.
        device: "cpu" or "cuda"; by default as settled for the model (see `models.settings`), or a
            CUDA device where there is one.

    Raises:
        UnknownNameError: no such model.
        InputError: no such device.
        ModelError: its weights are missing or refused.
    """
    name = ModelName.parse(model)
    models.require_network(name.base)
    device, _ = choose(device or settled_device(name.base), "torch")
    spec = name.spec()
    return Explainer(spec, models.load_network(spec), name=name, device=device)


class Explainer:
    """A loaded model that explains. Safe to share between threads.

    Attributes:
        spec: the registered model's spec.
        model: its full name, with the variant.
        device: "cpu" or "cuda".
    """

    def __init__(
        self, spec: ModelSpec, network: Any, *, name: ModelName | None = None, device: str = "cpu"
    ) -> None:
        self.spec, self.device = spec, device
        self._name = name or ModelName(spec.name)
        self.model = str(self._name)
        self._network = OpenNetwork(spec, network, device)

    @property
    def bytes(self) -> int:
        """Roughly how much memory it takes."""
        return self._network.bytes

    @property
    def remark(self) -> str:
        """What the variant changes for explanations, in one or two sentences; "" for nothing."""
        remarks = []
        if self._name.mode == FAST:
            shown = dataclasses.replace(self._name, mode=EXACT)
            remarks.append(f"{self.model} is explained as {shown}, in full precision.")
        if self._name.components and not self._network.reduced:
            remarks.append(
                f"Similarities are those of {self._name.source}, before its embeddings are reduced."
            )
        return " ".join(remarks)

    def on(self, mean: np.ndarray, axes: np.ndarray) -> Explainer:
        """Return the same model with similarities on principal axes (see `OpenNetwork.on`)."""
        light = copy.copy(self)
        light._network = self._network.on(mean, axes)
        return light

    # ── what it can ──────────────────────────────────────────────────────────────────────────────

    def can(self, kind: str) -> str:
        """Say why a kind of target, a method or "places" is not possible; "" where it is."""
        name = self.spec.name
        if kind == CLASS and not models.class_names(self.spec):
            return f"{name} has no classes: it was trained to compare pictures, not to name them."
        if kind == TEXT and not self.spec.text:
            return f"{name} has no text tower; choose a model that has one, such as a CLIP."
        if kind in (*gradients.METHODS, PLACES) and not self.spec.layer:
            return (
                f"{name} has no layer of places that is known; choose {occlusion.NAME}, "
                "which works for every model."
            )
        if kind not in (*KINDS, *METHODS, PLACES):
            raise UnknownNameError("kind or method of explanation", kind, (*KINDS, *METHODS))
        return ""

    def _demand(self, kind: str) -> None:
        if reason := self.can(kind):
            raise InputError(reason)

    # ── maps ─────────────────────────────────────────────────────────────────────────────────────

    def explain(
        self,
        pixels: np.ndarray,
        target: Target,
        *,
        method: str = gradients.GRADCAM,
        crop: Crop | None = None,
    ) -> Explanation:
        """Show what in a picture speaks for a target.

        Args:
            pixels: uint8 (height, width, 3), upright RGB.
            target: see `class_target`, `similarity_target`, `text_target`.
            method: one of `METHODS`.
            crop: explain only this part, as if it were the picture; None for all of it.

        Returns:
            The explanation, of the crop where one is given.

        Raises:
            InputError: the model cannot, the class does not exist, or no picture was given.
            UnknownNameError: there is no such method.
            ImageError: the crop lies outside.
        """
        if method not in METHODS:
            raise UnknownNameError("method of explanation", method, METHODS)
        self._demand(method)
        if method == gradients.EIGENCAM and target.opposite:
            raise InputError(
                "Eigen-CAM shows what stands out, whatever is asked, so it has no opposite; choose "
                "another method."
            )
        asked = self._question(target)
        part = images.crop_pixels(checked(pixels), crop)
        picture = self._network.see(part)
        if method == occlusion.NAME:
            scores = self._scorer(asked)
            cells, score = occlusion.cells(
                picture, scores, self._network.seen(part), asked.opposite
            )
            note = flatness.of_occlusion(cells, asked.cosine(score))
        else:
            found = self._network.cam(picture, asked.objective, method)
            cells, score = found.values, float(asked.score(found.embeddings)[0])
            spread = asked.spread(found.embeddings)
            note = flatness.of_gradients(found, spread, asked.cosine(score))
        return self._explanation(part, cells, note, score, method, asked.name, crop)

    def _explanation(
        self,
        part: np.ndarray,
        cells: np.ndarray,
        note: str,
        score: float,
        method: str,
        target: str,
        crop: Crop | None,
    ) -> Explanation:
        """Scale a map so that its strongest place is 1, and lay it over the picture."""
        raw_max = float(np.nan_to_num(cells).max())
        kept = np.zeros_like(cells) if note else np.maximum(cells, 0) / raw_max
        seen = self._network.seen(part)
        laid = np.clip(enlarge(kept, seen, *part.shape[:2]), 0, 1)
        return Explanation(laid, seen, score, raw_max, bool(note), note, method, target, kept, crop)

    def faithfulness(
        self,
        pixels: np.ndarray,
        target: Target,
        explanation: Explanation,
        *,
        steps: int = 10,
        seed: int = 0,
    ) -> faithfulness.Faithfulness:
        """Check a map: blur what it calls important, and see whether the score falls faster than
        when places are blurred at random (see `aina_core.explain.faithfulness`).

        Args:
            pixels: the picture that was explained, as it was given to `explain`.
            target: as it was given to `explain`.
            explanation: what `explain` returned.
            steps: in how many steps the whole picture is blurred; at least 2.
            seed: of the random orders.

        Raises:
            InputError: the map is flat, is of another picture, or there are too few steps.
        """
        asked = self._question(target)
        part = images.crop_pixels(checked(pixels), explanation.crop)
        faithfulness.check(part, explanation, steps)
        scores = self._scorer(asked)
        return faithfulness.measure(
            self._network.see(part),
            scores,
            explanation.cells,
            opposite=asked.opposite,
            steps=steps,
            seed=seed,
        )

    # ── numbers ──────────────────────────────────────────────────────────────────────────────────

    def classes(self, pixels: np.ndarray, k: int = 5) -> list[tuple[str, float]]:
        """Return the k likeliest classes of a picture with their probabilities, descending.

        Raises:
            InputError: the model has no classes.
        """
        self._demand(CLASS)
        embeddings = self._network.embed(self._network.see(checked(pixels))[None])
        chances = self._network.classify(embeddings).softmax(1)[0].cpu().numpy()
        names = models.class_names(self.spec)
        best = np.argsort(-chances, kind="stable")[: max(k, 0)]
        return [(names[index], float(chances[index])) for index in best]

    def similarity(self, a_pixels: np.ndarray, b_pixels: np.ndarray) -> float:
        """Return the cosine of two pictures' embeddings."""
        a, b = (
            self._network.embed(self._network.see(checked(p))[None]) for p in (a_pixels, b_pixels)
        )
        return float((self._network.unit(a) * self._network.unit(b)).sum().clamp(-1, 1))

    def places(self, a_pixels: np.ndarray, b_pixels: np.ndarray) -> places.Places:
        """Compare the places of two pictures.

        Raises:
            InputError: the model has no layer of places that is known.
        """
        self._demand(PLACES)
        sides = []
        for pixels in (a_pixels, b_pixels):
            features = self._network.features(self._network.see(checked(pixels)))
            sides.append(places.side(features, self._network.seen(pixels), pixels.shape[:2]))
        return places.Places(*sides)

    # ── within ───────────────────────────────────────────────────────────────────────────────────

    def _question(self, target: Target) -> Question:
        self._demand(target.kind)
        return question(self._network, target)

    def _scorer(self, asked: Question) -> Callable[[np.ndarray], np.ndarray]:
        """Pictures uint8 (n, rows, columns, 3) → scores float32 (n,)."""
        return lambda pictures: asked.score(self._network.embed(pictures)).cpu().numpy()
