"""A gallery opened under one model."""

import dataclasses
import hashlib
import shutil
from types import SimpleNamespace

import pytest

from aina_core.errors import GalleryError
from aina_core.gallery import create, update
from aina_core.models import ModelName
from aina_core.models import spec as model_registry
from aina_core.models.weights import FolderFile
from aina_core.search.query import FILE, Term
from aina_core.search.searcher import Searcher, term_vector


def test_the_query_is_left_out_by_id_and_a_copy_of_it_is_not(gallery, embedder, photos):
    shutil.copy(photos / "brick" / "1.jpg", photos / "copy.jpg")
    update(gallery, embedder)
    searcher = Searcher(gallery, "tiny")
    hits = searcher.search(searcher.vector("brick/1.jpg"), exclude="brick/1.jpg").nearest(12)
    assert len(hits) == 12 and "brick/1.jpg" not in {hit.id for hit in hits}
    assert hits[0].id == "copy.jpg" and hits[0].similarity == pytest.approx(1, abs=1e-6)
    values = [hit.similarity for hit in hits]
    assert values == sorted(values, reverse=True) and max(values) <= 1
    assert all(0 <= hit.percentile <= 1 for hit in hits)


def test_nearest_and_above_tell_the_same(home, photo_set, embedder):
    made = create("mine", photo_set)
    update(made, embedder)
    searcher = Searcher(made, "tiny")
    for key in searcher.ids[::7]:
        result = searcher.search(searcher.vector(key))
        nearest, above = result.nearest(40), result.above(-1)
        assert result.count_above(-1) == len(above) == len(nearest) == 40
        assert [hit.id for hit in nearest] == [hit.id for hit in above]
        pairs = [(a.similarity, b.similarity) for a, b in zip(nearest, above, strict=True)]
        assert max(abs(a - b) for a, b in pairs) < 1e-6
        level = nearest[9].similarity - 1e-5
        assert result.count_above(level) >= 10
        assert [hit.id for hit in result.above(level, 3, 6)] == [hit.id for hit in nearest[3:6]]


def test_rows_of_other_weights_are_not_searched(searcher, embedder, photo_set, monkeypatch):
    term = Term(FILE, str(next(photo_set.rglob("*.jpg"))))
    assert term_vector(searcher, term, lambda: embedder)[0].shape == (embedder.dim,)
    trained_anew = {**embedder.fingerprint(), "weights": "other"}
    monkeypatch.setattr(embedder, "fingerprint", lambda: trained_anew)
    with pytest.raises(GalleryError, match=r"other weights.*index it again: python -m aina_core"):
        term_vector(searcher, term, lambda: embedder)


def test_its_key_names_gallery_model_generation_and_weights(gallery, embedder, photos, tiny):
    update(gallery, embedder)
    opened, again = Searcher(gallery, tiny), Searcher(gallery, tiny)
    weights = embedder.fingerprint()["weights"]
    assert opened.key == again.key == (gallery.name, tiny, gallery.generation(tiny), weights)
    (photos / "brick" / "1.jpg").unlink()
    update(gallery, embedder)
    assert opened.key == again.key != Searcher(gallery, tiny).key


def test_its_key_follows_the_weights_that_the_model_has_now(searcher, monkeypatch, tmp_path):
    *others, _ = searcher.key
    other = tmp_path / "other weights"
    other.write_bytes(b"trained anew")
    weights = SimpleNamespace(locate=lambda: other)
    monkeypatch.setattr(ModelName, "spec", lambda _: SimpleNamespace(weights=weights))
    assert searcher.key == (*others, hashlib.sha256(b"trained anew").hexdigest())


def test_its_key_has_no_weights_where_the_machine_has_none(searcher, monkeypatch):
    *others, _ = searcher.key
    monkeypatch.setitem(model_registry._SPECS, searcher.model, _without_weights(searcher.model))
    assert searcher.key == (*others, "")
    monkeypatch.delitem(model_registry._SPECS, searcher.model)
    assert searcher.key == (*others, "")  # vectors that were imported, of a model unknown here


def _without_weights(model):
    missing = FolderFile(model, "missing.pth", "https://example.org/missing.pth")
    return dataclasses.replace(model_registry.get(model), weights=missing)
