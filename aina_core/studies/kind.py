"""What a kind of study consists of.

A kind is one file with one `Kind` in it, and one line in `kinds.py`. From that the command line has
its subcommand and options, the page its form, the store its settings, and the report, the CSV and
the comparison of two studies their figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from aina_core.changes.originals import Original
from aina_core.changes.versions import Versions
from aina_core.progress import Progress, Stop
from aina_core.search.searcher import Searcher
from aina_core.studies.study import Run, Settings

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: A table: its header, and its rows of texts.
Table = tuple[list[str], list[list[str]]]


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


class OfVersions(Protocol):
    """Computes a study from embeddings of originals and of their changed versions, by model.

    The folder is for files that are of no use afterwards. Raises StoppedError when it is stopped.
    """

    def __call__(
        self,
        settings: Settings,
        versions: Mapping[str, Versions],
        folder: Path,
        *,
        progress: Progress,
        stop: Stop,
    ) -> Found: ...


class OfGallery(Protocol):
    """Computes a study from the gallery as it is indexed, under each model.

    Raises StoppedError when it is stopped.
    """

    def __call__(
        self,
        settings: Settings,
        searchers: Sequence[Searcher],
        *,
        progress: Progress,
        stop: Stop,
    ) -> Found: ...


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
        of_versions: computes it, where images are changed; else None.
        of_gallery: computes it, where no images are changed; else None.
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
    of_versions: OfVersions | None = None
    of_gallery: OfGallery | None = None
    changes: str = ""
    ks: tuple[int, ...] = ()

    @property
    def drawn(self) -> str:
        """What is drawn from the gallery: "originals" or "queries"."""
        return "originals" if self.changes else "queries"
