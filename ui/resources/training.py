"""Trained networks that pages use beside their embeddings."""

from __future__ import annotations

import streamlit as st

from aina_core import models
from aina_core.training.judging import PairJudge
from aina_core.training.reconstructing import Autoencoder


def pair_judge(model: str) -> PairJudge:
    """The head for pairs of a trained model, as its weights are now."""
    return _pair_judge(model, models.checksum(models.get(model).weights.locate()))


@st.cache_resource(show_spinner="Loading the head for pairs …", max_entries=2)
def _pair_judge(model: str, weights: str) -> PairJudge:
    return PairJudge(model)


def autoencoder(model: str) -> Autoencoder:
    """A trained autoencoder, as its weights are now."""
    return _autoencoder(model, models.checksum(models.get(model).weights.locate()))


@st.cache_resource(show_spinner="Loading the autoencoder …", max_entries=2)
def _autoencoder(model: str, weights: str) -> Autoencoder:
    return Autoencoder(model)
