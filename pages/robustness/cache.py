"""Stored studies, opened."""

from __future__ import annotations

import streamlit as st

from aina_core.studies import Run, load
from aina_core.studies.report import report


@st.cache_resource(show_spinner="Opening the study …", max_entries=6)
def study(study_id: str) -> Run:
    """The stored study of an id; an id is never given twice."""
    return load(study_id)


@st.cache_data(show_spinner=False, max_entries=2)
def study_report(study_id: str) -> str:
    """Its report, one HTML file."""
    return report(study(study_id))
