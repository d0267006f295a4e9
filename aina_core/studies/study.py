"""What a study is: the settings it was run with, what is recorded of it, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aina_core.changes.originals import Original


@dataclass(frozen=True)
class Settings:
    """The settings of a study.

    Attributes:
        kind: name of one of `KINDS`.
        gallery: its name.
        models: full names, each once.
        originals: how many images are drawn; None for all. A study that changes no images draws
            its queries.
        changes: names of modifications and profiles, each once; () where no images are changed.
        ks: how many neighbours are judged, ascending; () where none are.
        seed: of every draw: of originals, of random pairs, of resamples.
    """

    kind: str
    gallery: str
    models: tuple[str, ...]
    originals: int | None = None
    changes: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**asdict(self), **{n: list(getattr(self, n)) for n in ("models", "changes", "ks")}}


@dataclass(frozen=True)
class Summary:
    """What is known of a stored study without opening it.

    Attributes:
        id: its name.
        created: when it was finished, ISO 8601, UTC.
        settings: what it was run with.
        gallery: {"folder", "created", "generation"} of the gallery at that time.
        verdict: what it found, in words.
        versions: of the libraries that computed, by name.
        models: the fingerprint of each model, by name.
        seconds: that it took.
    """

    id: str
    created: str
    settings: Settings
    gallery: dict[str, Any]
    verdict: str
    versions: dict[str, str]
    models: dict[str, Any]
    seconds: float


@dataclass(frozen=True, eq=False)
class Run:
    """A stored study, opened.

    Attributes:
        summary: see `Summary`.
        results: the figures, JSON values.
        images: the images that places in the arrays refer to.
        arrays: by name; read-only.
    """

    summary: Summary
    results: dict[str, Any]
    images: list[Original]
    arrays: Mapping[str, np.ndarray]

    @property
    def id(self) -> str:
        """Its name."""
        return self.summary.id

    @property
    def settings(self) -> Settings:
        """The settings it was run with."""
        return self.summary.settings

    def document(self) -> dict[str, Any]:
        """Return all that the command line prints as JSON, the figures first."""
        known = self.summary
        return {
            **self.results,
            "study": known.settings.kind,
            "id": known.id,
            "created": known.created,
            "seconds": known.seconds,
            "verdict": known.verdict,
            "settings": known.settings.as_dict(),
            "gallery": known.settings.gallery,
            "gallery_state": known.gallery,
            "versions": known.versions,
            "fingerprints": known.models,
        }
