"""The Models page: which there are, how to get one that is missing, how to add one by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from aina_core import jobs, models
from aina_core.disk import paths
from aina_core.errors import AinaError
from aina_core.gallery import galleries, open_gallery
from aina_core.models import FAST, ModelSpec
from ui import downloads, page
from ui.text import plain

_MEGABYTE = 1_000_000
_STATES = {"ready": "can be used", "missing": "to be fetched", "refused": "not accepted"}
_SCHEMES = """\
| name | is |
|---|---|
| `timm:convnext_tiny`, `timm:resnet50.a1_in1k` | any of timm's, with a tag or its first |
| `open_clip:ViT-B-32/laion2b_s34b_b79k` | any of open_clip's; reads texts too |
| `local:birds` | a checkpoint of your own, described by `birds.toml` beside the weights |
"""
_DESCRIPTION = """\
base = "timm:resnet50"        # or "torchvision:resnet18", "open_clip:ViT-B-32"
file = "birds.pth"            # beside this file: tensors only, .pth or .safetensors
dim = 2048                    # length of an embedding
classes = "birds.txt"         # optional: the names of its classes, one a line
license = "CC BY 4.0"         # optional

[recipe]                      # optional: by default the base's own
resize = 256                  # short side in pixels
crop = 224
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
interpolation = "bicubic"     # or "bilinear"
squash = false                # true: both sides become `resize`
"""


def table() -> None:
    """List the models."""
    rows = _rows(models.names())
    counts = {status: sum(row["state"] == status for row in rows) for status in _STATES}
    st.text(" · ".join(f"{counts[s]} {what}" for s, what in _STATES.items() if counts[s]))
    frame = pd.DataFrame(rows)
    st.dataframe(
        frame.drop(columns=[name for name in ("images/s here",) if frame[name].isna().all()]),
        hide_index=True,
        height="content",
        placeholder="",
        column_config={
            "model": st.column_config.TextColumn(width=160),
            "paper": st.column_config.LinkColumn(display_text="paper"),
            "size (MB)": st.column_config.NumberColumn(format="localized"),
            "texts": st.column_config.CheckboxColumn(help="whether texts can be searched for"),
            "explains": st.column_config.CheckboxColumn(help="whether one can look into it"),
            "images/s here": st.column_config.NumberColumn(
                help="the quickest indexing of a gallery here: files to vectors", format="%.1f"
            ),
            "reason": st.column_config.TextColumn("how to get it, or why it is refused", width=280),
        },
    )
    header = list(rows[0])
    downloads.csv("models.csv", header, lambda: ([row[name] for name in header] for row in rows))


def _rows(names: tuple[str, ...]) -> list[dict[str, Any]]:
    speeds = _speeds()
    rows = []
    for name in names:
        found = models.state(name)
        row: dict[str, Any] = {"model": name, "state": found.status, "reason": found.reason}
        try:
            spec = models.get(name)
        except AinaError:  # the reason says why
            spec = None
        size = found.path.stat().st_size if found.path else spec.weights.size if spec else 0
        row |= {
            "dimension": spec.dim if spec else None,
            "input (px)": spec.recipe.crop if spec else None,
            "size (MB)": round(size / _MEGABYTE) or None,
            "images/s here": speeds.get(name),
            "classes": _classes(spec) if spec else "",
            "texts": bool(spec and spec.text),
            "explains": bool(spec and spec.layer),
            "licence": spec.license if spec else "",
            "paper": (spec.paper or None) if spec else None,
            "family": spec.family if spec else "",
        }
        rows.append(row)
    return rows


def _classes(spec: ModelSpec) -> str:
    if not spec.classes:
        return ""
    return "ImageNet" if spec.classes == "imagenet-1k" else "its own"


def _speeds() -> dict[str, float]:
    """The quickest indexing by each model that a gallery here records, in images a second."""
    best: dict[str, float] = {}
    for gallery in galleries():
        try:
            opened = open_gallery(gallery)
            for model in opened.models():
                rate = opened.manifest(model).get("images_per_second")
                name = model.removesuffix(f"@{FAST}")
                if isinstance(rate, (int, float)):
                    best[name] = max(best.get(name, 0.0), float(rate))
        except AinaError:  # the Galleries page says so
            continue
    return best


def get_one() -> None:
    """Offer to fetch the weights of a model that lacks them, or say where they are to be put."""
    st.subheader("Get a model")
    states = {name: models.state(name) for name in models.names()}
    lacking = [name for name, found in states.items() if found.status != "ready"]
    if not lacking:
        st.text("All of them can be used.")
        return
    name = st.selectbox("Model", lacking, key="models.get")
    found = states[name]
    try:
        source = models.get(name).weights
    except AinaError as error:
        st.error(plain(error))
        return
    if found.status == "refused":
        st.error(plain(found.reason))
    if not hasattr(source, "url") and not hasattr(source, "files"):
        st.info(plain(found.reason))  # it is installed, or described: there is nothing to fetch
        return
    size = f", {source.size / _MEGABYTE:,.0f} MB" if source.size else ""
    st.text(f"{source.file}{size}")
    busy = page.job_running()
    if st.button("Fetch", type="primary", disabled=busy, icon=":material/download:"):
        jobs.start(f"Fetch {name}", ["models", "fetch", name])
        st.rerun()
    if busy:
        st.caption("Work is under way, see the sidebar.")
    with st.expander("This machine has no access to the internet"):
        st.text("Get this file on another machine:")
        st.code(source.origin, language=None, wrap_lines=True)
        st.text("Put it here; the page notices it by itself:")
        st.code(str(paths.weights() / source.file), language=None, wrap_lines=True)
        st.caption(
            "Another folder than this one is chosen by the variable `AINA_WEIGHTS`. A file is "
            "checked before it is used: its published SHA-256 where there is one, and that it "
            "holds the tensors of this network and nothing else."
        )


def add_one() -> None:
    """Let a person add a model by its name, and take one away again."""
    st.subheader("Add a model by its name")
    st.markdown(_SCHEMES)
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    name = left.text_input("Name", key="models.name", placeholder="timm:convnext_tiny")
    wanted = right.button("Add", icon=":material/add:", width="stretch")
    if wanted and name.strip():
        _try(models.add, name)
    added = [name for name in models.names() if name in models.added_names()]
    for name in added:
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.text(name)
        if right.button("Remove", key=f"models.forget.{name}", width="stretch"):
            _try(models.forget, name)
    with st.expander("How a checkpoint of your own is described"):
        st.text("A text file NAME.toml in the folder of weights:")
        st.code(str(paths.weights()), language=None, wrap_lines=True)
        st.code(_DESCRIPTION, language="toml")


def _try(action: Callable[[str], object], name: str) -> None:
    try:
        with st.spinner("Looking at the network …"):
            action(name)
    except AinaError as error:
        st.error(plain(error))
        return
    st.rerun()
