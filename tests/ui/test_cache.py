"""The one cache of the app: what its keys are, what it does not keep."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
import streamlit as st
import torch

from aina_core import models
from aina_core.embedding import load_embedder
from aina_core.gallery import update, uploads
from aina_core.models import spec as registry
from aina_core.models.weights import PackageFile
from aina_core.search.query import UPLOAD, Term
from aina_core.search.searcher import Searcher
from pages.search import cache as search_cache
from ui import cache as shared
from ui.link import State

PACKAGE = "aina_other_head"


@pytest.fixture
def other_head(tmp_path, monkeypatch):
    """Give the tiny model weights that differ in the order of its classes alone."""

    def change():
        state = torch.load(models.get("tiny").weights.locate(), weights_only=True)
        state["head.weight"] = state["head.weight"].flip(0)
        state["head.bias"] = state["head.bias"].flip(0)
        folder = tmp_path / "other" / PACKAGE
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        torch.save(state, folder / "tiny.pth")
        monkeypatch.syspath_prepend(str(folder.parent))
        digest = hashlib.sha256((folder / "tiny.pth").read_bytes()).hexdigest()
        weights = PackageFile(PACKAGE, "aina-other-head", "tiny.pth", digest)
        changed = dataclasses.replace(models.get("tiny"), weights=weights)
        monkeypatch.setitem(registry._SPECS, "tiny", changed)

    return change


def test_a_class_ranks_anew_once_the_head_has_other_weights(by_two_models, other_head):
    state = State(gallery="mine", model="tiny")
    before = search_cache.of_class(state, 3)
    assert search_cache.of_class(state, 3) is before
    vectors = np.array(Searcher(by_two_models, "tiny").matrix)
    other_head()
    embedder = load_embedder("tiny", device="cpu")
    update(by_two_models, embedder)
    opened = Searcher(by_two_models, "tiny")
    assert (opened.matrix == vectors).all(), "the head has no part in embeddings"
    after = search_cache.of_class(state, 3)
    expected = embedder.probabilities(opened.matrix, opened.norms, 3)
    assert after.probabilities == pytest.approx(np.sort(expected)[::-1])
    assert after.probabilities != pytest.approx(before.probabilities)


def test_a_gallery_is_opened_once_until_it_changes(by_two_models):
    opened = shared.searcher("mine", "tiny")
    assert shared.searcher("mine", "tiny") is opened
    first = next(iter(by_two_models.root.rglob("*.jpg")))
    shutil.copy(first, first.with_name("one more.jpg"))
    update(by_two_models, load_embedder("tiny", device="cpu"))
    again = shared.searcher("mine", "tiny")
    first.with_name("one more.jpg").unlink()
    assert again is not opened and again.count == opened.count + 1
    assert again.key != opened.key


def test_an_upload_is_embedded_once_in_all_galleries(by_two_models, photo_set):
    name = uploads.keep_query((photo_set / "coffee/1.jpg").read_bytes())
    opened = Searcher(by_two_models, "tiny")
    vector, _ = shared.embedding(opened, Term(UPLOAD, name))
    again, _ = shared.embedding(Searcher(by_two_models, "tiny"), Term(UPLOAD, name, 0.5))
    assert again is vector and not vector.flags.writeable
    crop, _ = shared.embedding(opened, Term(UPLOAD, name, 1.0, (0, 0, 30, 30)))
    assert crop is not vector


class Thing:
    def __init__(self, key):
        self._key = key
        self.asked = 0

    @property
    def key(self):
        return self._key


@shared.cached(entries=2)
def _made(thing, word="", *, known=True):
    thing.asked += 1
    return [word] if known else None


@shared.cached(entries=2, key=lambda thing, word: (word,))
def _worded(thing, word):
    thing.asked += 1
    return word


def test_a_result_is_kept_by_what_arguments_are():
    st.cache_resource.clear()
    one, same, other = Thing((1, "a")), Thing((1, "a")), Thing((2, "a"))
    assert _made(one, "x") is _made(same, "x") and (one.asked, same.asked) == (1, 0)
    assert _made(one, "y") == ["y"] and _made(other, "x") == ["x"]
    assert _made(one, "x") == ["x"] and one.asked == 3, "two entries are kept"
    assert _worded(one, "x") == _worded(other, "x") == "x" and other.asked == 1


def test_none_is_asked_for_again():
    thing = Thing("a")
    assert _made(thing, known=False) is None and _made(thing, known=False) is None
    assert thing.asked == 2
