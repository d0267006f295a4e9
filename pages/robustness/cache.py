"""Stored studies, opened."""

from __future__ import annotations

from aina_core.studies import Run, load
from aina_core.studies.report import report
from ui.cache import cached


@cached(entries=6, spinner="Opening the study …")
def study(study_id: str) -> Run:
    """The stored study of an id; an id is never given twice."""
    return load(study_id)


@cached(entries=2)
def study_report(study_id: str) -> str:
    """Its report, one HTML file."""
    return report(study(study_id))
