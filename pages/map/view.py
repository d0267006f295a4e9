"""One map on the Map page: computed, drawn with the query in it, and how far to trust it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator

import numpy as np
import streamlit as st

from aina_core import figures, jobs
from aina_core.numbers import decimal_text
from aina_core.projection import Settings
from aina_core.search.searcher import Neighbour, Searcher
from pages.map import cache
from pages.map.cache import OpenMap
from pages.map.data import MapAddress
from pages.map.settings import NAMES, View, arguments, describe
from ui import cache as shared
from ui import downloads, query, selection, serve, state
from ui.components import Clicked, Cloud, Lassoed, Picture, plot, scatter
from ui.link import State, query_params
from ui.text import plain

_AT_ONCE = 20_000  # images: PCA of so many takes a moment
_LINKED = 100
_HITS = 300


def show(model: str, settings: Settings, view: View) -> None:
    """Draw the map of a model, or what can be shown until it is computed."""
    now = state.current()
    opened = shared.searcher(now.gallery, model)
    if not opened.count:
        st.info("The gallery has no images yet; add some on the Galleries page.")
        return
    found = cache.open_map(opened, settings)
    if found is None:
        settings = _instead(opened, settings)
        found = cache.open_map(opened, settings)
        if found is None:
            return
    vector = shared.query_vector(opened, now.query)
    hits = shared.result(dataclasses.replace(now, model=model)).nearest(min(now.k, _LINKED))
    if view.kind == "distance":
        _relative(opened, found, vector, settings)
    else:
        _map(opened, found, vector, hits, settings, view)
    _believe(found)


# ── not computed yet ─────────────────────────────────────────────────────────────────────────────


def _instead(opened: Searcher, settings: Settings) -> Settings:
    """Have the map computed; return the settings of one to show in the meantime."""
    gallery, model = opened.gallery.name, opened.model
    quick = Settings(method="pca", dims=settings.dims)
    if settings.method == "pca" and len(opened.ids) <= _AT_ONCE:
        cache.compute_map(gallery, model, settings)
        return settings
    words = arguments(gallery, model, settings)
    job = next((job for job in jobs.jobs() if job.arguments == tuple(words)), None)
    asked = " ".join(["map.started", *words, opened.checksum])
    if job is None or (job.state == "done" and asked not in st.session_state):
        st.session_state[asked] = True  # once: what was done before was of other vectors
        jobs.start(f"Map {gallery} under {model}: {describe(settings)}", words)
        st.rerun()  # the sidebar shows it
    if job.active:
        st.info(
            f"{NAMES[settings.method]} is being computed, see the sidebar; it appears here when it "
            "is done." + (" Meanwhile: PCA." if settings.method != "pca" else "")
        )
    else:
        st.warning(plain(f"The map was not computed: {job.message or job.state}."))
        if st.button("Compute it again", key=f"again.{model}", icon=":material/refresh:"):
            jobs.forget(job.id)
            st.rerun()
    if cache.open_map(opened, quick) is None and len(opened.ids) <= _AT_ONCE:
        cache.compute_map(gallery, model, quick)
    return quick


# ── the map ──────────────────────────────────────────────────────────────────────────────────────


def _map(
    opened: Searcher,
    found: OpenMap,
    vector: np.ndarray,
    hits: list[Neighbour],
    settings: Settings,
    view: View,
) -> None:
    now = state.current()
    address = MapAddress(opened.gallery.name, opened.model, settings, found.version)
    made = cache.map_categories(opened, found, view.colour, view.clusters)
    figure = figures.projection_map(
        len(found.points),
        settings.dims,
        categories=[] if made is None else list(zip(made.names, made.counts, strict=True)),
        others=0 if made is None else made.others,
        scale=_scale(opened, now) if view.colour == "similarity" else None,
        query=_place(opened, found, vector, now.member),
        near=found.projection.coordinates[opened.rows([hit.id for hit in hits])],
        similarities=np.array([hit.similarity for hit in hits], np.float32),
        reference=_reference(opened, found, now.reference),
    )
    cloud = Cloud(
        points=address.url("points"),
        describe=address.url("describe", **query_params(now)),
        count=len(found.points),
        low=found.points.low.tolist(),
        span=found.points.span.tolist(),
        codes=None
        if made is None
        else address.url("codes", by=view.colour, clusters=str(view.clusters)),
        similarities=address.url("similarities", **query_params(now)),
        selected=_mask(opened, found),
    )
    event = scatter(
        figure,
        cloud,
        key=f"map-{opened.model}".replace("_", "-"),
        name=f"map {opened.gallery.name} {opened.model} {settings.method}",
        ring=figures.HIT,
        pictures=view.kind == "thumbnails",
    )
    axes = ["x", "y", "z"][: settings.dims]
    downloads.csv(
        "map.csv",
        ["id", *axes, "label", "similarity to the query"],
        lambda: _rows(opened, found, vector),
        key=f"map.{opened.model}",
    )
    if isinstance(event, Clicked):
        chosen = opened.ids[found.points.rows[event.point]]
        if chosen != now.member:
            query.use_image(chosen)
            st.rerun()
    if isinstance(event, Lassoed):
        inside = np.sort(found.points.rows[found.points.inside(event.corners)])
        picked = tuple(opened.ids[row] for row in inside)
        if picked != selection.chosen():
            selection.choose(picked)
            st.rerun()


def _place(
    opened: Searcher, found: OpenMap, vector: np.ndarray, image_id: str | None
) -> np.ndarray:
    """Where the query stands: its own point, or where it would be."""
    if image_id is not None:
        return found.projection.coordinates[opened.rows([image_id])[0]]
    return found.projection.place(vector[None])[0]


def _reference(opened: Searcher, found: OpenMap, image_id: str | None) -> np.ndarray | None:
    if image_id is None or not opened.has(image_id):
        return None
    return found.projection.coordinates[opened.rows([image_id])[0]]


def _scale(opened: Searcher, now: State) -> tuple[float, float]:
    """Between which similarities colours differ: all but the outermost thousandths."""
    values = shared.result(dataclasses.replace(now, model=opened.model)).similarities
    if not len(values):
        return 0.0, 1.0
    high, low = values[len(values) // 1000], values[-1 - len(values) // 1000]
    return float(low), max(float(high), float(low) + 1e-3)


def _mask(opened: Searcher, found: OpenMap) -> str | None:
    """The points picked out, a bit each, as base64."""
    ids = [image_id for image_id in selection.chosen() if opened.has(image_id)]
    if not ids:
        return None
    picked = np.zeros(len(opened.ids), bool)
    picked[opened.rows(ids)] = True
    bits = np.packbits(picked[found.points.rows], bitorder="little")
    return base64.b64encode(bits.tobytes()).decode()


def _rows(opened: Searcher, found: OpenMap, vector: np.ndarray) -> Iterator[list[object]]:
    near = opened.similarities(vector)
    places = found.projection.coordinates
    for row in np.sort(found.points.rows):
        yield [opened.ids[row], *places[row].tolist(), opened.annotations[row].label, near[row]]


# ── around the query ─────────────────────────────────────────────────────────────────────────────


def _relative(opened: Searcher, found: OpenMap, vector: np.ndarray, settings: Settings) -> None:
    """The hits around the query, as far away as their cosine distance says."""
    now = dataclasses.replace(state.current(), model=opened.model)
    result = shared.result(now)
    hits = (
        result.nearest(now.k)
        if now.threshold is None
        else result.above(now.threshold - 0.05, 0, _HITS)
    )
    if not hits:
        st.info("No image is that near; lower the threshold on the Search page.")
        return
    places = found.projection.coordinates[opened.rows([hit.id for hit in hits])][:, :2]
    centre = _place(opened, found, vector, now.member)[:2]
    figure = figures.relative_distances(
        places - centre, np.array([hit.similarity for hit in hits]), threshold=now.threshold
    )
    pictures = [
        Picture(hit.id, serve.thumbnail_url(opened.gallery.name, hit.sha256), hit.label)
        for hit in hits
    ]
    clicked = plot(
        figure,
        key=f"around-{opened.model}".replace("_", "-"),
        name=f"distances {opened.gallery.name} {opened.model}",
        pictures=pictures,
    )
    st.caption(
        f"{len(hits):,} images: the distance from the middle is the cosine distance to the query, "
        f"the direction is that on the {NAMES[settings.method]} map."
        + ("" if now.threshold is None else " The circle is the threshold.")
    )
    downloads.csv(
        "distances.csv",
        ["id", "label", "similarity", "distance"],
        lambda: ([h.id, h.label, h.similarity, 1 - h.similarity] for h in hits),
        key=f"distances.{opened.model}",
    )
    if clicked is not None:
        query.use_image(hits[clicked[0]].id)
        st.rerun()


# ── how far to trust it ─────────────────────────────────────────────────────────────────────────


def _believe(found: OpenMap) -> None:
    made = found.projection
    of = "" if made.sample >= len(made.ids) else f", measured on {made.sample:,} images"
    fitted = (
        ""
        if made.fitted >= len(made.ids) or made.settings.method == "pca"
        else f" Fitted on {made.fitted:,} images; the others were placed among them."
    )
    meaning = {
        "pca": "distances mean something, but what lies together may be far apart",
        "umap": "near points are near, gaps between groups mean little",
        "tsne": "near points are near, gaps and sizes of groups mean little",
    }[made.settings.method]
    st.caption(
        f"Trust: {decimal_text(made.trustworthiness)} trustworthiness · {made.preservation:.0%} of "
        f"the {made.k} nearest kept{of}: {meaning}.{fitted}",
        help="Trustworthiness (Venna and Kaski) is 1 when no image is near on the map that is not "
        "near under the model. The share kept counts how many of the nearest under the model are "
        "among the nearest on the map.",
    )
