"""Trained networks that pages use beside their embeddings."""

from __future__ import annotations

import streamlit as st

from aina_core import models
from aina_core.training.reconstructing import Autoencoder


def autoencoder(model: str) -> Autoencoder:
    """A trained autoencoder, as its weights are now."""
    return _autoencoder(model, models.checksum(models.get(model).weights.locate()))


@st.cache_resource(show_spinner="Loading the autoencoder …", max_entries=2)
def _autoencoder(model: str, weights: str) -> Autoencoder:
    return Autoencoder(model)
