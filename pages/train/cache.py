"""Trained networks that pages use beside their embeddings, and what can be said of settings."""

from __future__ import annotations

import dataclasses

import numpy as np

from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.training import Settings
from aina_core.training.autoencoder import Autoencoder, Reconstructed, unseen
from aina_core.training.pairs_file import Pairs, keep_pairs, read_pairs
from aina_core.training.plan import plan
from ui.cache import cached, weights

#: Galleries up to so many images are looked at while somebody chooses; larger ones take a second.
_LOOKED_AT = 20_000


def _by_weights(gallery: Gallery, model: str, *asked: object) -> tuple[object, ...]:
    return gallery, model, weights(model), asked


@cached(entries=2, spinner="Loading the autoencoder …", key=lambda model: (model, weights(model)))
def autoencoder(model: str) -> Autoencoder:
    """A trained autoencoder, with the weights that it has now."""
    return Autoencoder(model)


@cached(entries=8, key=_by_weights)
def unseen_images(gallery: Gallery, model: str, most: int) -> list[str]:
    """Ids of images that a trained model has not seen."""
    return unseen(model, gallery, most)


@cached(entries=32, spinner="Reconstructing …", key=_by_weights)
def reconstructed(
    gallery: Gallery, model: str, ids: tuple[str, ...], change: str | None
) -> Reconstructed:
    """What an autoencoder makes of images, or of their changed versions."""
    return autoencoder(model).look(gallery, ids, change)


@cached(entries=32, spinner="Going from one image to the other …", key=_by_weights)
def between(
    gallery: Gallery, model: str, first: str, second: str, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two images as an autoencoder sees them, and the way from one to the other."""
    return autoencoder(model).between(gallery, first, second, steps)


def _looked_at(gallery: Gallery, whole: bool) -> bool:
    return whole or gallery.catalogue.counts()[0] <= _LOOKED_AT


def _planned(gallery: Gallery, settings: Settings, *, whole: bool = False) -> tuple[object, ...]:
    # a hash of Python's own: that of all pairs of a file takes Streamlit long
    nameless = dataclasses.replace(settings, name="")
    return gallery, hash(nameless), _looked_at(gallery, whole)


@cached(entries=64, key=_planned)
def training_problem(gallery: Gallery, settings: Settings, *, whole: bool = False) -> str:
    """Why a gallery cannot be trained on as settings ask; empty if it can.

    Args:
        gallery: the one that the settings name.
        settings: what is asked for.
        whole: whether a large gallery is looked at too, which takes seconds.
    """
    if not _looked_at(gallery, whole):
        return ""
    try:
        plan(dataclasses.replace(settings, name=""), gallery)
    except AinaError as error:
        return str(error)
    return ""


@cached(entries=4)
def training_pairs(gallery: Gallery, data: bytes) -> tuple[Pairs, str]:
    """The pairs of an uploaded CSV file, or none and why it cannot be used."""
    ids = gallery.catalogue.images()
    try:
        return read_pairs(keep_pairs(data, ids), ids), ""
    except AinaError as error:
        return (), str(error)
