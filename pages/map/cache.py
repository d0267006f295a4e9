"""Projections, and the categories of their points."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import streamlit as st

from aina_core.gallery import open_gallery
from aina_core.projection import (
    Categories,
    Points,
    Projection,
    Settings,
    categorise,
    cluster,
    project,
    stored,
)
from aina_core.search.searcher import Searcher
from ui.cache import cached


@dataclass(frozen=True, eq=False)
class OpenMap:
    """A projection, and its points whose image can be found.

    Attributes:
        projection: of all rows.
        points: those that are shown.
        version: another one whenever a point, its place, or what is known of its image changes.
    """

    projection: Projection
    points: Points
    version: str

    @property
    def key(self) -> str:
        """What it is: see `ui.cache.cached`."""
        return self.version


@cached(entries=8, spinner="Opening the map …")
def open_map(opened: Searcher, settings: Settings) -> OpenMap | None:
    """The stored map of an opened gallery; None while there is none."""
    found = stored(opened.gallery, opened.model, settings)
    if found is None:
        return None
    generation = opened.key[2]
    version = hashlib.sha256(f"{generation} {found.checksum}".encode()).hexdigest()[:16]
    return OpenMap(found, Points(found, opened.shown), version)


def compute_map(gallery: str, model: str, settings: Settings) -> None:
    """Compute a small gallery's map at once, and store it."""
    with st.spinner("Computing the map …"):
        project(open_gallery(gallery), model, settings)


@cached(entries=16, spinner="Grouping …")
def map_categories(opened: Searcher, found: OpenMap, by: str, clusters: int) -> Categories | None:
    """The categories of a map's points: by "label", "column:NAME", "k-means" or "hdbscan"."""
    rows = found.points.rows
    notes = opened.annotations
    if by == "label":
        return categorise(notes.labels.texts(rows))
    if by.startswith("column:"):
        name = by.partition(":")[2]
        return categorise(notes.words(name).texts(rows))
    if by in ("k-means", "hdbscan"):
        method = "HDBSCAN" if by == "hdbscan" else by
        made = cluster(method, opened.matrix, found.projection.coordinates, count=clusters)
        return categorise([f"cluster {g + 1}" if g >= 0 else "" for g in made[rows].tolist()])
    return None
