"""The Galleries page: the table, the forms that make a gallery, and what can be done with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from aina_core import images, jobs, models
from aina_core.disk import paths
from aina_core.errors import AinaError
from aina_core.gallery import Gallery, create, galleries, open_gallery, uploads, valid_name
from ui import cache as shared
from ui import downloads, page, state
from ui.text import plain

_SHOWN_FOLDERS = 200
_NO_MODEL = "No model can be used here; the Models page says what each one lacks."


def table() -> None:
    """List the galleries."""
    rows = []
    for name in galleries():
        try:
            gallery = open_gallery(name)
            count, failed = gallery.catalogue.counts()
        except AinaError as error:
            st.error(plain(f"{name}: {error}"))
            continue
        rows.append(
            {
                "gallery": name,
                "images": count,
                "not usable": failed,
                "models": ", ".join(gallery.models()) or "not indexed",
                "folder": _folder(gallery),
                "on disk (MB)": round(gallery.size_on_disk() / 1e6, 1),
                "made": gallery.created[:10],
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True)


def _folder(gallery: Gallery) -> str:
    if not gallery.has_pictures:
        return "no pictures, imported"
    return "kept by AINA" if gallery.keeps_images else str(gallery.root)


def _ready() -> list[str]:
    """The models that can be used here."""
    return [name for name in models.names() if models.state(name).status == "ready"]


def form() -> None:
    """Make a gallery of a folder, a ZIP or files."""
    if not (names := _ready()):
        st.error(_NO_MODEL)
        return
    name = st.text_input("Name", key="new.name", placeholder="botanical plates")
    model = page.choose_model(names, "new")
    folder, archive, files = st.tabs(["Folder on the server", "ZIP", "Files"])
    with folder:
        _from_folder(name, model)
    with archive:
        sent = st.file_uploader("A ZIP of pictures; its folders become labels", type="zip")
        if st.button("Make the gallery", key="new.zip", disabled=sent is None) and sent:
            _make(name, model, lambda: uploads.gallery_from_zip(name, sent))
    with files:
        many = st.file_uploader(
            "Pictures",
            type=[suffix.lstrip(".") for suffix in sorted(images.SUFFIXES)],
            accept_multiple_files=True,
            key="new.files",
        )
        if st.button("Make the gallery", key="new.many", disabled=not many):
            sent_files = ((file.name, file.getvalue()) for file in many)
            _make(name, model, lambda: uploads.gallery_from_files(name, sent_files))


def _from_folder(name: str, model: str) -> None:
    text = st.text_input("Folder", key="new.folder", placeholder=str(paths.roots()[0]))
    labels = st.file_uploader(
        "Labels (optional): a CSV with the columns id and label; further columns become filters",
        type="csv",
        key="new.labels",
        max_upload_size=100,
    )
    folder = None
    if text:
        try:
            folder = paths.allowed_folder(text)
            _preview(folder)
        except AinaError as error:
            folder = None
            st.error(plain(error))
    if st.button("Make the gallery", key="new.go", type="primary", disabled=folder is None):
        _make(name, model, lambda: create(name, folder), labels and labels.getvalue())


def _preview(folder: Path) -> None:
    # first: it refuses a folder that cannot be read
    count, unreadable = shared.pictures_in(folder)
    inside = sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and sub.name[0] != ".")
    st.text(f"{count:,} pictures in {folder}")
    if unreadable:
        st.warning(f"{unreadable} sub-folders cannot be read.")
    if inside:
        with st.expander("Its sub-folders"):
            st.text("\n".join(inside[:_SHOWN_FOLDERS]))


def _make(name: str, model: str, build: Callable[[], Gallery], labels: bytes | None = None) -> None:
    try:
        valid_name(name)
        if name in galleries():
            st.error(plain(f"There is a gallery {name} already; choose another name."))
            return
        gallery = build()
        arguments = page.index_arguments(gallery, model)
        if labels:
            path = gallery.folder / "labels.csv"
            with paths.replacing(path) as file:
                file.write(labels)
            arguments += ["--labels", str(path)]
        jobs.start(f"Index {name} by {model}", arguments)
    except AinaError as error:
        st.error(plain(error))
        return
    state.change(gallery=name, model=model)
    st.rerun()


def details(gallery: Gallery) -> None:
    """Show one gallery: its models, what failed, and what can be done with it."""
    _models(gallery)
    try:
        failures = gallery.catalogue.failures()
    except AinaError:  # the table above says so
        failures = []
    if failures:
        with st.expander(f"{len(failures):,} files are not usable"):
            header, rows = ["file", "reason"], [(r.id, r.failure) for r in failures]
            st.dataframe(pd.DataFrame(rows, columns=header), hide_index=True)
            downloads.csv("not-usable.csv", header, lambda: rows)
    busy = page.job_running()
    with st.expander("Index by a model, or bring up to date"):
        if not gallery.has_pictures:
            st.info(plain(gallery.without_pictures()))
        elif not (names := _ready()):
            st.error(_NO_MODEL)
        else:
            model = page.choose_model(names, "details")
            if st.button("Index", disabled=busy, icon=":material/play_arrow:"):
                page.start_indexing(gallery, model)
                st.rerun()
    with st.expander("Rename"):
        name = st.text_input("New name", gallery.name, key=f"rename.{gallery.name}")
        if st.button("Rename", disabled=busy or name == gallery.name):
            _try(lambda: state.change(gallery=gallery.rename(name).name))
    with st.expander("Delete"):
        _delete(gallery, busy)


def _models(gallery: Gallery) -> None:
    if gallery.models():
        frame = pd.DataFrame([_model_row(gallery, model) for model in gallery.models()])
        st.dataframe(frame.loc[:, (frame != "").any()], hide_index=True)


def _delete(gallery: Gallery, busy: bool) -> None:
    what = st.selectbox("What", ["the whole gallery", *gallery.models()], key="delete.what")
    given = gallery.has_pictures and not gallery.keeps_images
    kept = f" The folder {gallery.root} is not touched." if given else ""
    if gallery.keeps_images and what == "the whole gallery":
        kept = " The pictures that were uploaded for it are deleted too."
    st.text(f"This cannot be undone.{kept}")
    sure = st.checkbox("Yes, delete it", key=f"delete.sure.{gallery.name}.{what}")
    if st.button("Delete", disabled=busy or not sure, icon=":material/delete:"):
        if what == "the whole gallery":
            _try(gallery.delete)
        else:
            _try(lambda: gallery.delete_model(what))


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except AinaError as error:
        st.error(plain(error))
        return
    st.rerun()


def _model_row(gallery: Gallery, model: str) -> dict[str, object]:
    try:
        manifest = gallery.manifest(model)
        total = gallery.catalogue.counts()[0]
    except AinaError as error:
        return {"model": model, "state": str(error)}
    agreement = manifest.get("agreement") or {}
    behind = total - manifest["count"]
    return {
        "model": model,
        "state": "up to date" if behind <= 0 else f"{behind:,} images to do",
        "images": manifest["count"],
        "dimension": manifest["dim"],
        "computed on": " + ".join(manifest.get("computed_on", [])),
        "precision": manifest["fingerprint"].get("precision"),
        "images/s": manifest.get("images_per_second"),
        "lowest cosine to exact": str(agreement.get("lowest_cosine", "")),
        "top-10 as exact": str(agreement.get("top10_overlap", "")),
        "made": str(manifest.get("created", ""))[:16].replace("T", " "),
    }
