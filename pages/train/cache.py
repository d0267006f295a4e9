"""Trained networks that pages use beside their embeddings, and what can be said of settings."""

from __future__ import annotations

import dataclasses

import numpy as np
import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.gallery import Gallery, open_gallery
from aina_core.training import Settings
from aina_core.training.autoencoder import Autoencoder, Reconstructed, unseen
from aina_core.training.pairs_file import Pairs, keep_pairs, read_pairs
from aina_core.training.plan import plan

#: Galleries up to so many images are looked at while somebody chooses; larger ones take a second.
_LOOKED_AT = 20_000


def autoencoder(model: str) -> Autoencoder:
    """A trained autoencoder, as its weights are now."""
    return _autoencoder(model, _weights(model))


@st.cache_resource(show_spinner="Loading the autoencoder …", max_entries=2)
def _autoencoder(model: str, weights: str) -> Autoencoder:
    return Autoencoder(model)


def unseen_images(gallery: Gallery, model: str, most: int) -> list[str]:
    """Ids of images that a trained model has not seen."""
    return _unseen(gallery.name, _stand(gallery), model, _weights(model), most)


@st.cache_data(show_spinner=False, max_entries=8)
def _unseen(gallery: str, stand: str, model: str, weights: str, most: int) -> list[str]:
    return unseen(model, open_gallery(gallery), most)


def reconstructed(
    gallery: Gallery, model: str, ids: tuple[str, ...], change: str | None
) -> Reconstructed:
    """What an autoencoder makes of images, or of their changed versions."""
    return _reconstructed(gallery.name, _stand(gallery), model, _weights(model), ids, change)


@st.cache_resource(show_spinner="Reconstructing …", max_entries=32)
def _reconstructed(
    gallery: str, stand: str, model: str, weights: str, ids: tuple[str, ...], change: str | None
) -> Reconstructed:
    return _autoencoder(model, weights).look(open_gallery(gallery), ids, change)


def between(
    gallery: Gallery, model: str, first: str, second: str, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two images as an autoencoder sees them, and the way from one to the other."""
    return _between(gallery.name, _stand(gallery), model, _weights(model), (first, second), steps)


@st.cache_resource(show_spinner="Going from one image to the other …", max_entries=32)
def _between(
    gallery: str, stand: str, model: str, weights: str, ends: tuple[str, str], steps: int
) -> tuple[np.ndarray, np.ndarray]:
    return _autoencoder(model, weights).between(open_gallery(gallery), *ends, steps)


def training_problem(gallery: Gallery, settings: Settings, *, whole: bool = False) -> str:
    """Why a gallery cannot be trained on as settings ask; empty if it can.

    Args:
        gallery: what they name.
        settings: what is asked for.
        whole: whether a large gallery is looked at too, which takes seconds.
    """
    if not whole and gallery.catalogue.counts()[0] > _LOOKED_AT:
        return ""
    nameless = dataclasses.replace(settings, name="")
    return _problem(_stand(gallery), hash(nameless), nameless)


@st.cache_data(show_spinner=False, max_entries=64)
def _problem(stand: str, what: int, _settings: Settings) -> str:
    try:  # a hash of Python's own: that of all pairs of a file takes Streamlit long
        plan(_settings, open_gallery(_settings.gallery))
    except AinaError as error:
        return str(error)
    return ""


def training_pairs(gallery: Gallery, data: bytes) -> tuple[Pairs, str]:
    """The pairs of a CSV that was sent, or none and why it cannot be used."""
    return _pairs(gallery.name, _stand(gallery), data)


@st.cache_resource(show_spinner=False, max_entries=4)
def _pairs(gallery: str, stand: str, data: bytes) -> tuple[Pairs, str]:
    ids = open_gallery(gallery).catalogue.images()
    try:
        return read_pairs(keep_pairs(data, ids), ids), ""
    except AinaError as error:
        return (), str(error)


def _stand(gallery: Gallery) -> str:
    """What changes with a gallery's catalogue, and when another gallery gets its name."""
    return f"{gallery.created} {gallery.catalogue.version()}"


def _weights(model: str) -> str:
    return models.checksum(models.get(model).weights.locate())
