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
from ui.cache import searcher_at


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


def open_map(gallery: str, model: str, settings: Settings) -> OpenMap | None:
    """The stored map of a gallery as it stands now; None while there is none."""
    try:
        return _open_map(gallery, model, open_gallery(gallery).generation(model), settings)
    except LookupError:  # which is not kept, so that a map is seen as soon as it is there
        return None


@st.cache_resource(show_spinner="Opening the map …", max_entries=8)
def _open_map(gallery: str, model: str, generation: tuple[int, str], settings: Settings) -> OpenMap:
    found = stored(open_gallery(gallery), model, settings)
    if found is None:
        raise LookupError
    opened = searcher_at(gallery, model, generation)
    version = hashlib.sha256(f"{generation} {found.checksum}".encode()).hexdigest()[:16]
    return OpenMap(found, Points(found, opened.shown), version)


def compute_map(gallery: str, model: str, settings: Settings) -> None:
    """Compute a small gallery's map at once, and store it."""
    with st.spinner("Computing the map …"):
        project(open_gallery(gallery), model, settings)


def map_categories(opened: Searcher, found: OpenMap, by: str, clusters: int) -> Categories | None:
    """The categories of a map's points: by "label", "column:NAME", "k-means" or "hdbscan"."""
    generation = opened.gallery.generation(opened.model)
    key = opened.gallery.name, opened.model, generation, found.projection.checksum
    return _map_categories(*key, by, clusters, opened, found)


@st.cache_resource(show_spinner="Grouping …", max_entries=16)
def _map_categories(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    checksum: str,
    by: str,
    clusters: int,
    _opened: Searcher,
    _found: OpenMap,
) -> Categories | None:
    rows = _found.points.rows
    notes = _opened.annotations
    if by == "label":
        return categorise(notes.labels.texts(rows))
    if by.startswith("column:"):
        name = by.partition(":")[2]
        return categorise(notes.words(name).texts(rows))
    if by in ("k-means", "hdbscan"):
        method = "HDBSCAN" if by == "hdbscan" else by
        made = cluster(method, _opened.matrix, _found.projection.coordinates, count=clusters)
        return categorise([f"cluster {g + 1}" if g >= 0 else "" for g in made[rows].tolist()])
    return None
