"""Queries of several terms: their weights, what is left out, and how they are typed."""

import math

import numpy as np
import pytest

from aina_core.embedding import load_embedder
from aina_core.errors import ImageError, InputError
from aina_core.explain.targets import class_index
from aina_core.gallery import update
from aina_core.search.query import (
    FILE,
    IMAGE,
    MAX_TEXT,
    TEXT,
    UPLOAD,
    Term,
    check,
    combine,
    describe,
    find_class,
    matching_classes,
    members,
    parse,
    query_vector,
    term_vector,
)
from aina_core.search.searcher import Searcher


def unit_rows(count, dim=24, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("weights", [[1, 1], [1, -0.5], [2, 1, -1], [-1, -1], [0, 3], [1e3, 1e-3]])
def test_the_sum_against_a_plain_loop(weights):
    rows = unit_rows(len(weights))
    total = [0.0] * 24
    for row, weight in zip(rows, weights, strict=True):
        for place, value in enumerate(row.tolist()):
            total[place] += weight * value
    length = math.sqrt(sum(value * value for value in total))
    found = combine(rows, weights)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([value / length for value in total], abs=1e-6)


def test_one_term_is_its_vector_to_the_last_bit():
    rows = unit_rows(1)
    assert (combine(rows, [0.3]) == rows[0]).all()
    assert combine(rows, [-2.0]) == pytest.approx(-rows[0], abs=1e-6)


def test_a_term_twice_is_a_term_of_twice_the_weight():
    rows = unit_rows(2)
    doubled = combine(rows[[0, 0, 1]], [1, 1, 1])
    assert doubled == pytest.approx(combine(rows, [2, 1]), abs=1e-7)


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [0.5, -0.5]])
def test_terms_that_cancel_out_cost_one_sentence(weights):
    with pytest.raises(InputError, match="cancel out"):
        combine(unit_rows(1)[[0, 0]], weights)


def test_a_query_without_terms():
    with pytest.raises(InputError, match="empty"):
        query_vector([], lambda term: unit_rows(1)[0])


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 1001, -1e9])
def test_a_weight_out_of_bounds(weight):
    with pytest.raises(InputError, match="weight"):
        query_vector([Term(IMAGE, "a", weight)], lambda term: unit_rows(1)[0])


@pytest.mark.parametrize("text", ["", " ", "\n", "x" * (MAX_TEXT + 1)])
def test_a_text_that_is_none(text):
    with pytest.raises(InputError):
        check(Term(TEXT, text))


# ── as people type them ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "value", "weight"),
    [
        ("rosa/1.jpg", "rosa/1.jpg", 1),
        ("rosa/1.jpg:2", "rosa/1.jpg", 2),
        ("rosa/1.jpg:-0.5", "rosa/1.jpg", -0.5),
        ("golden retriever:+1e1", "golden retriever", 10),
        ("a:b:.25", "a:b", 0.25),
        ("a:b", "a:b", 1),
        ("at 10:", "at 10:", 1),
        (":2", ":2", 1),
        ("a:nan", "a:nan", 1),
        ("a\nb:2", "a\nb", 2),
        ("a:1:2", "a:1", 2),
    ],
)
def test_a_number_after_the_last_colon_is_the_weight(typed, value, weight):
    assert parse(TEXT, typed) == Term(TEXT, value, weight)


def test_a_file_that_really_has_that_name_wins():
    assert parse(FILE, "a:2", lambda name: name == "a:2") == Term(FILE, "a:2", 1)
    assert parse(FILE, "a:2", lambda name: name == "a") == Term(FILE, "a", 2)


def test_what_people_read():
    assert describe(Term(IMAGE, "a.jpg")) == "a.jpg"
    assert describe(Term(TEXT, "fruit", -1)) == "− “fruit”"
    assert describe(Term(UPLOAD, "f" * 64, 2.5)) == "2.5 × uploaded picture"
    assert describe(Term(IMAGE, "a.jpg", -0.5, (0, 0, 1, 1))) == "− 0.5 × a.jpg (a crop)"


def test_a_class_is_found_by_a_part_of_its_name():
    names = ["espresso", "espresso maker", "cup", "coffee mug", "Crane (134)"]
    assert find_class(names, "Espresso ") == 0, "a whole name wins"
    assert find_class(names, "mug") == 3 and find_class(names, "crane") == 4
    assert matching_classes(names, "") == []
    with pytest.raises(InputError, match=r"2 classes have 'ess' .* espresso, espresso maker"):
        find_class(names, "ess")
    with pytest.raises(InputError, match=r"named 'expresso'; did you mean espresso"):
        find_class(names, "expresso")


NAMES = ("tench", "Crane", "crane", "CRANE bird", "cup")


def test_classes_that_differ_by_case():
    for find in (find_class, class_index):
        assert [find(NAMES, name) for name in NAMES] == [0, 1, 2, 3, 4], "exactly so"
        assert find(NAMES, " crane  ") == 2 and find(NAMES, " Tench") == 0
        with pytest.raises(InputError, match=r"^2 classes .* 'CRANE' but .*: Crane, crane; "):
            find(NAMES, "CRANE")
    assert matching_classes(NAMES, "crane bird") == [3]
    with pytest.raises(InputError, match=r"3 classes have 'cran' in .*: Crane, crane, CRANE bird"):
        find_class(NAMES, "cran")
    with pytest.raises(InputError, match="there are: Crane, crane, CRANE bird"):
        class_index(NAMES, "cran")
    with pytest.raises(InputError, match="there are: Crane, crane"):
        class_index(NAMES, "carne")


# ── against a gallery ────────────────────────────────────────────────────────────────────────────


def test_members_are_left_out_by_id(searcher, embedder):
    ids = searcher.ids[3], searcher.ids[17], searcher.ids[3]
    terms = [Term(IMAGE, ids[0]), Term(IMAGE, ids[1], -0.5), Term(IMAGE, ids[2], 0.0)]
    assert members(terms) == ids[:2]
    vector = query_vector(terms, lambda term: term_vector(searcher, term, lambda: embedder)[0])
    found = searcher.search(vector, exclude=members(terms))
    assert {hit.id for hit in found.nearest(99)} == set(searcher.ids) - set(ids)
    assert found.count == 38
    expected = searcher.matrix @ vector
    for hit in found.nearest(5):
        assert hit.similarity == pytest.approx(expected[searcher.ids.index(hit.id)], abs=1e-6)


def test_every_kind_of_term_has_its_vector(home, gallery, photos, wordy):
    embedder = load_embedder(wordy, device="cpu")
    update(gallery, embedder)
    opened = Searcher(gallery, wordy)

    def of(*given):
        return term_vector(opened, Term(*given), lambda: embedder)

    row, norm = of(IMAGE, "brick/1.jpg")
    assert norm == pytest.approx(of(FILE, str(photos / "brick" / "1.jpg"))[1], rel=1e-5)
    assert row == pytest.approx(of(FILE, str(photos / "brick" / "1.jpg"))[0], abs=1e-5)
    part = of(IMAGE, "brick/1.jpg", 1.0, (0, 0, 20, 20))[0]
    assert abs(part - row).max() > 1e-3
    words, none = of(TEXT, "brick wall")
    assert (words == embedder.embed_text(["brick wall"])[0]).all() and none == 0
    with pytest.raises(InputError, match="names no uploaded picture"):
        of(UPLOAD, "x")
    with pytest.raises(InputError, match="no image 'gone'"):
        of(IMAGE, "gone")
    with pytest.raises(ImageError, match=r"image none\.jpg cannot be used: the file is missing"):
        of(FILE, str(photos / "none.jpg"))
