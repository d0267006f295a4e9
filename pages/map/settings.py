"""The Map page's choices: how the map is computed, and how it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core.projection import METHODS, Settings
from aina_core.search.searcher import Searcher
from ui import state

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
    """How a map is looked at.

    Attributes:
        kind: "dots", "thumbnails" or "distance".
        colour: "none", "label", "column:NAME", "k-means", "hdbscan" or "similarity".
        clusters: about how many, for those.
        beside: full name of the second model; None for one map.
    """

    kind: str
    colour: str
    clusters: int
    beside: str | None


def choose_map(left: DeltaGenerator, right: DeltaGenerator) -> Settings:
    """Draw the method and its parameters in two places, and return them."""
    method = _one_of("map.method", METHODS, _DEFAULT.method)
    left.segmented_control(
        "Method",
        METHODS,
        format_func=NAMES.__getitem__,
        help=_ABOUT[method],
        **state.bind_setting("map.method", method, _DEFAULT.method, lambda m: m or method),
    )
    dims = _number("map.dims", _DEFAULT.dims, 2, 3)
    seed = _number("map.seed", _DEFAULT.seed, 0, 9999)
    components = _number("map.components", _DEFAULT.components, 0, 1000)
    neighbours = _number("map.neighbours", _DEFAULT.neighbours, 2, 150)
    perplexity = _number("map.perplexity", int(_DEFAULT.perplexity), 1, 50)
    near = _share("map.min-dist", _DEFAULT.min_dist)
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
    """Draw how the map is looked at in three places, and return it."""
    kind = _one_of("map.view", tuple(_VIEWS), "dots")
    columns[0].segmented_control(
        "Show",
        list(_VIEWS),
        format_func=_VIEWS.__getitem__,
        help="Thumbnails stand for up to 250 of the images in view. Relative distance puts the "
        "query in the middle, and its hits as far away as their cosine distance says.",
        **state.bind_setting("map.view", kind, "dots", lambda v: v or kind),
    )
    colours = {"label": "label"} if len(opened.labels) > 1 else {}
    colours |= {f"column:{name}": name or "no name" for name in opened.columns}
    colours |= {"similarity": "similarity to the query"}
    colours |= {"k-means": "clusters of the embeddings (k-means)"}
    colours |= {"hdbscan": "islands of the map (HDBSCAN)", "none": "nothing"}
    default = next(iter(colours))
    colour = _one_of("map.colour", tuple(colours), default)
    columns[1].selectbox(
        "Colour by",
        list(colours),
        format_func=colours.__getitem__,
        **state.bind_setting("map.colour", colour, default),
    )
    clusters = _number("map.clusters", 8, 2, 50)
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


def _one_of(name: str, allowed: tuple[str, ...], default: str) -> str:
    chosen = state.setting(name, default)
    return chosen if chosen in allowed else default


def _number(name: str, default: int, least: int, most: int) -> int:
    try:
        return min(max(int(state.setting(name, str(default))), least), most)
    except ValueError:
        return default


def _share(name: str, default: float) -> float:
    try:
        value = float(state.setting(name, str(default)))
    except ValueError:
        return default
    return value if 0 <= value <= 1 else default


def describe(settings: Settings) -> str:
    """Return a map's settings in words."""
    parts = [NAMES[settings.method], f"{settings.dims}-D"]
    if settings.method == "umap":
        parts.append(f"{settings.neighbours} neighbours, least distance {settings.min_dist:g}")
    if settings.method == "tsne":
        parts.append(f"perplexity {settings.perplexity:g}")
    if settings.components and settings.method != "pca":
        parts.append(f"of {settings.components} principal components")
    return ", ".join(parts)


def arguments(gallery: str, model: str, settings: Settings) -> list[str]:
    """Return the command line that computes a map."""
    return [
        "map",
        *("--gallery", gallery, "--model", model, "--method", settings.method),
        *("--dims", str(settings.dims), "--seed", str(settings.seed)),
        *("--components", str(settings.components), "--neighbours", str(settings.neighbours)),
        *("--min-dist", f"{settings.min_dist:g}", "--perplexity", f"{settings.perplexity:g}"),
    ]
