"""The Duplicates page's other questions: are a folder's files, or one file, in the gallery?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from aina_core import images, jobs
from aina_core.disk import paths
from aina_core.duplicates import Checked, FolderChecked, Matched, stored_checked
from aina_core.errors import AinaError, ImageError
from aina_core.gallery import uploads
from aina_core.numbers import decimal_text
from aina_core.search.searcher import Searcher
from pages.duplicates import cache
from pages.duplicates.cards import cards_key, image_card, turn_text
from pages.duplicates.groups import Options
from ui import actions, downloads, page, state
from ui import cache as shared
from ui.components import cards
from ui.text import plain

_FILES = 6


def folder_against(opened: Searcher, options: Options) -> None:
    """Draw which pictures of a folder on the server are already in the gallery."""
    text = st.text_input(
        "Folder on the server",
        placeholder=str(paths.roots()[0]),
        width=600,
        **state.bind_setting("duplicates.folder", state.setting("duplicates.folder", ""), ""),
    )
    if not text:
        st.caption("Its pictures are held against the gallery; nothing is written to it.")
        return
    try:
        folder = paths.allowed_folder(text)
        count, _ = shared.pictures_in(folder)
    except AinaError as error:
        st.error(plain(error))
        return
    if page.wait_for_job():
        return
    found = stored_checked(opened, folder)
    label = "Look again" if found else f"Look for its {count:,} pictures"
    if st.button(label, type="secondary" if found else "primary", disabled=not count):
        _look(opened, folder, options)
    if not count:
        st.info("There are no pictures in this folder.")
    if found is not None:
        _show(opened, folder, found)


def _look(opened: Searcher, folder: Path, options: Options) -> None:
    try:
        if not options.turned and cache.check_folder(opened, folder, options.threshold):
            st.rerun()
        words = ["duplicates", "--gallery", opened.gallery.name, "--model", opened.model]
        words += ["--threshold", f"{options.threshold:.3f}", "--against", str(folder)]
        jobs.start(
            f"Hold {folder.name} against {opened.gallery.name}",
            [*words, *(["--turned"] if options.turned else [])],
        )
    except AinaError as error:
        st.error(plain(error))
        return
    st.rerun()


def _show(opened: Searcher, folder: Path, found: FolderChecked) -> None:
    left, right = st.columns([6, 1], vertical_alignment="center")
    when = found.when[:16].replace("T", " ")
    left.markdown(
        f"**{len(found.found):,} of {found.files:,} pictures are in the gallery** at "
        f"{decimal_text(found.threshold)} or nearer; looked at on {when} UTC"
    )
    header = ["file", "id", "similarity", "relation"]
    downloads.csv("against.csv", header, lambda: _rows(found), place=right)
    if found.failed:
        with st.expander(f"Files that cannot be read: {len(found.failed):,}"):
            st.text("\n".join(f"{name}: {reason}" for name, reason in found.failed.items()))
    names = list(found.found)
    for name in names[page.pager(len(names), _FILES, "against.page")]:
        with st.container(border=True):
            _show_file(opened, folder, name, found)


def _show_file(opened: Searcher, folder: Path, name: str, found: FolderChecked) -> None:
    left, right = st.columns([1, 5])
    try:
        left.image(cache.file_thumbnail(folder / name))
    except ImageError as error:
        left.caption(plain(error))
    left.text(name)
    known = {key: (near, turn) for key, near, turn in found.found[name] if opened.has(key)}
    with right:
        event = cards(
            [
                image_card(opened, key, similarity=near, notes=[turn_text(turn, "")])
                for key, (near, turn) in known.items()
            ],
            actions=actions.OF_A_HIT,
            key=f"against-{cards_key(name)}",
            columns=5,
        )
    actions.follow(event)


def _rows(found: FolderChecked) -> Iterator[tuple[str, str, str, str]]:
    for name, matches in found.found.items():
        for key, near, turn in matches:
            yield name, key, f"{near:.6f}", turn


def one_file(opened: Searcher, options: Options) -> None:
    """Draw whether an uploaded picture is already in the gallery."""
    sent = st.file_uploader(
        "A picture to check",
        type=[suffix.lstrip(".") for suffix in sorted(images.SUFFIXES)],
        max_upload_size=uploads.MAX_QUERY_BYTES >> 20,
        key="duplicates.check",
        width=600,
    )
    if sent is None:
        st.caption(
            "It is held against every image of the gallery, and kept nowhere. Many files, or a "
            "queue: python -m aina_core check."
        )
        return
    data = sent.getvalue()
    try:
        checked, signal = cache.checked_file(
            opened,
            options.threshold,
            sent.name,
            data,
            turned=options.turned,
        )
        picture = images.thumbnail(images.decode(data).pixels)
    except ImageError as error:
        st.error(plain(f"The picture cannot be used: {error}."))
        return
    left, right = st.columns([1, 5], gap="medium")
    left.image(picture)
    left.text(sent.name)
    with right:
        _verdict(opened, checked, signal)


def _verdict(opened: Searcher, checked: Checked, signal: Matched | str | None) -> None:
    if checked.nearest is None:
        st.info("The gallery has no image to hold it against.")
        return
    near = decimal_text(checked.nearest.neighbour.similarity)
    words = f"{plain(checked.nearest.neighbour.id)} at {near}; {plain(signal)}"
    if checked.flagged:
        st.warning(f"**Flagged.** The nearest is {words}.", icon=":material/flag:")
    else:
        st.success(f"**Clean.** The nearest is {words}.", icon=":material/check:")
    event = cards(
        [
            image_card(
                opened,
                match.neighbour.id,
                similarity=match.neighbour.similarity,
                notes=[turn_text(match.turn, "")],
            )
            for match in checked.matches or (checked.nearest,)
        ],
        actions=actions.OF_A_HIT,
        key="checked",
        columns=5,
    )
    actions.follow(event)
