"""The Map page's choices: how the map is computed, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core.projection import METHODS, Settings
from aina_core.search.searcher import Searcher
from ui import settings, state
from ui.settings import number_of, one_of

NAMES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
_ABOUT = {
    "umap": "UMAP keeps neighbours together and groups apart; the distance between groups means "
    "little.",
    "tsne": "t-SNE keeps near neighbours together most faithfully; sizes of groups and distances "
    "between them mean little.",
    "pca": "PCA is the flattest honest view: distances mean something, but much is folded "
    "over each other.",
}
_DEFAULT = Settings()
_VIEWS = {"dots": "dots", "thumbnails": "thumbnails", "distance": "relative distance"}


@dataclass(frozen=True)
class View:
    """How a map is drawn.

    Attributes:
        kind: "dots", "thumbnails" or "distance".
        colour: "none", "label", "column:NAME", "k-means", "hdbscan" or "similarity".
        clusters: about how many, for k-means and HDBSCAN.
        beside: full name of the second model; None for one map.
    """

    kind: str
    colour: str
    clusters: int
    beside: str | None


def choose_map(left: DeltaGenerator, right: DeltaGenerator) -> Settings:
    """Draw the method and its parameters in two places, and return them."""
    method = settings.choice(
        "map.method",
        "Method",
        {method: NAMES[method] for method in METHODS},
        _DEFAULT.method,
        place=left,
        help="\n\n".join(_ABOUT.values()),
    )
    dims = number_of("map.dims", _DEFAULT.dims, 2, 3)
    seed = number_of("map.seed", _DEFAULT.seed, 0, 9999)
    components = number_of("map.components", _DEFAULT.components, 0, 1000)
    neighbours = number_of("map.neighbours", _DEFAULT.neighbours, 2, 150)
    perplexity = number_of("map.perplexity", int(_DEFAULT.perplexity), 1, 50)
    near = number_of("map.min-dist", _DEFAULT.min_dist, 0.0, 1.0)
    with right.popover("Parameters", width="stretch"):
        st.segmented_control(
            "Dimensions",
            [2, 3],
            help="In three the map turns under the mouse, but there is no lasso.",
            **state.bind_setting("map.dims", dims, "2", lambda d: str(d or dims)),
        )
        if method == "umap":
            st.slider(
                "Neighbours",
                2,
                150,
                help="How many neighbours hold an image: few show detail, many the large shape.",
                **state.bind_setting("map.neighbours", neighbours, "15"),
            )
            st.slider(
                "Least distance",
                0.0,
                1.0,
                help="How near points may come to each other on the map.",
                **state.bind_setting("map.min-dist", near, "0.1", lambda v: f"{v:g}"),
            )
        if method == "tsne":
            st.slider(
                "Perplexity",
                1,
                50,
                help="About how many neighbours hold an image.",
                **state.bind_setting("map.perplexity", perplexity, "30"),
            )
        if method != "pca":
            st.number_input(
                "Principal components first",
                0,
                1000,
                help="Reduce the vectors to so many by PCA before; 0 takes them as they are.",
                **state.bind_setting("map.components", components, "0"),
            )
            st.number_input(
                "Seed",
                0,
                9999,
                help="Of the random choices; the same seed gives the same map.",
                **state.bind_setting("map.seed", seed, "0"),
            )
    return Settings(
        method=method,
        dims=dims,
        seed=seed,
        components=components,
        neighbours=neighbours,
        min_dist=near,
        perplexity=float(perplexity),
    )


def choose_view(columns: Sequence[DeltaGenerator], opened: Searcher, indexed: list[str]) -> View:
    """Draw the choices of how the map is drawn, in four columns, and return them."""
    kind = settings.choice(
        "map.view",
        "Show",
        _VIEWS,
        "dots",
        place=columns[0],
        help="Thumbnails stand for up to 250 of the images in view. Relative distance puts the "
        "query in the middle, and its hits as far away as their cosine distance says.",
    )
    colours = {"label": "label"} if len(opened.labels) > 1 else {}
    colours |= {f"column:{name}": name or "no name" for name in opened.columns}
    colours |= {"similarity": "similarity to the query"}
    colours |= {"k-means": "clusters of the embeddings (k-means)"}
    colours |= {"hdbscan": "islands of the map (HDBSCAN)", "none": "nothing"}
    default = next(iter(colours))
    colour = one_of("map.colour", colours, default)
    columns[1].selectbox(
        "Colour by",
        list(colours),
        format_func=colours.__getitem__,
        **state.bind_setting("map.colour", colour, default),
    )
    clusters = number_of("map.clusters", 8, 2, 50)
    if colour in ("k-means", "hdbscan"):
        columns[3].slider(
            "About how many", 2, 50, **state.bind_setting("map.clusters", clusters, "8")
        )
    now = state.current()
    others = [model for model in indexed if model != now.model]
    beside = next((model for model in now.others if model in others), None)
    if others:
        columns[2].selectbox(
            "Beside it",
            ["", *others],
            format_func=lambda model: model or "no second map",
            **state.bind("others", beside or "", lambda model: (model,) if model else ()),
        )
    return View(kind, colour, clusters, beside)


def describe(asked: Settings) -> str:
    """Return a map's settings in words."""
    parts = [NAMES[asked.method], f"{asked.dims}-D"]
    if asked.method == "umap":
        parts.append(f"{asked.neighbours} neighbours, least distance {asked.min_dist:g}")
    if asked.method == "tsne":
        parts.append(f"perplexity {asked.perplexity:g}")
    if asked.components and asked.method != "pca":
        parts.append(f"of {asked.components} principal components")
    return ", ".join(parts)


def arguments(gallery: str, model: str, asked: Settings) -> list[str]:
    """Return the command line that computes a map."""
    return [
        "map",
        *("--gallery", gallery, "--model", model, "--method", asked.method),
        *("--dims", str(asked.dims), "--seed", str(asked.seed)),
        *("--components", str(asked.components), "--neighbours", str(asked.neighbours)),
        *("--min-dist", f"{asked.min_dist:g}", "--perplexity", f"{asked.perplexity:g}"),
    ]
