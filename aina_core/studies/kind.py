"""A study: its settings, what it found, and what its kind consists of.

A kind is one file with one `Kind` in it, and one line in `kinds.py`. From that the command line has
its subcommand and options, the page its form, the store its settings, and the report, the CSV and
the comparison of two studies their figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aina_core.changes.originals import Original

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: A table: its header, and its rows of texts.
Table = tuple[list[str], list[list[str]]]


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


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        model: full name.
        what: "all", "random pairs", "index", or the change, label or other model it is of.
        k: number of neighbours; 0 where there are none.
        figure: its name.
        value: the figure.
        low: of its 95% interval; None for what has none.
        high: of its 95% interval.
        n: how many numbers it is made of; 0 where that has no meaning.
    """

    model: str
    what: str
    k: int
    figure: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What tells the figure from all others of the study."""
        return self.model, self.what, self.k, self.figure


class Found(NamedTuple):
    """What a study has computed.

    Attributes:
        results: JSON values: "models", figures by model; "differences", see
            `metrics.estimates.differences`; and what else the kind has.
        arrays: what each image contributed, by name.
        images: the images that places in the arrays refer to.
    """

    results: dict[str, Any]
    arrays: dict[str, np.ndarray]
    images: list[Original]


@dataclass(frozen=True)
class Section:
    """A part of a study's report.

    Attributes:
        title: its heading.
        figure: drawn below it; None for none.
        name: of the figure, once in a report.
        table: below the figure; None for none.
        note: below the table.
    """

    title: str
    figure: go.Figure | None = None
    name: str = ""
    table: Table | None = None
    note: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of study.

    Attributes:
        name: in lower-case letters alone: it is part of a study's id.
        title: as people read it.
        question: that it answers.
        about: what it does, for the command line's help.
        table: the models and their figures; the first column names the model.
        rows: every figure of a model, from the results.
        sections: the report of a study, without what all kinds have.
        verdict: one or two sentences, from the results: which model to trust, how sure that is.
        of_versions: computes it, where images are changed: (settings, `Versions` by model, folder
            for temporary files, progress=, stop=).
        of_gallery: computes it, where none are: (settings, a `Searcher` for each model, progress=,
            stop=). Both raise StoppedError when they are stopped.
        changes: the changes of a study that names none, one of `SETS`; "" where none are made.
        ks: the numbers of neighbours of a study that names none; () where none are judged.
    """

    name: str
    title: str
    question: str
    about: str
    table: Callable[[Run], Table]
    rows: Callable[[str, Mapping[str, Any]], Iterator[Row]]
    sections: Callable[[Run], Iterator[Section]]
    verdict: Callable[[Mapping[str, Any]], str]
    of_versions: Callable[..., Found] | None = None
    of_gallery: Callable[..., Found] | None = None
    changes: str = ""
    ks: tuple[int, ...] = ()

    @property
    def drawn(self) -> str:
        """What is drawn from the gallery: "originals" or "queries"."""
        return "originals" if self.changes else "queries"
