"""Similarities within and between labels, and the ladder, against plain loops."""

import itertools

import numpy as np
import pytest

from aina_core.errors import InputError
from aina_core.gallery import Annotation, update
from aina_core.search.searcher import Searcher
from aina_core.similarity import distribution as module
from aina_core.similarity import ladder as rungs
from aina_core.similarity.distribution import distribution, separation
from aina_core.similarity.ladder import STEPS, TOLERANCE, ladder


def every_pair(searcher):
    """(similarity, whether of one label) of each pair."""
    for a, b in itertools.combinations(searcher.ids, 2):
        same = searcher.image(a)[1].label == searcher.image(b)[1].label
        yield float(searcher.vector(a) @ searcher.vector(b)), same


def test_all_pairs_are_there_once(searcher):
    found = distribution(searcher)
    within = sorted(value for value, same in every_pair(searcher) if same)
    between = sorted(value for value, same in every_pair(searcher) if not same)
    assert (found.pairs_within, found.pairs_between) == (60, 720) == (len(within), len(between))
    np.testing.assert_allclose(found.within, within, atol=1e-6)
    np.testing.assert_allclose(found.between, between, atol=1e-6)
    np.testing.assert_array_equal(found.baseline, searcher.baseline)
    wins = sum((w > b) + (w == b) / 2 for w in within for b in between)
    assert found.auc == pytest.approx(wins / 60 / 720, abs=1e-3)


def test_of_many_pairs_a_fair_sample_is_drawn(searcher):
    whole = distribution(searcher)
    found, again, other = (distribution(searcher, seed=seed, most=50) for seed in (0, 0, 1))
    assert len(found.within) == len(found.between) == 50
    assert found.pairs_within == 60 and found.pairs_between == 720
    np.testing.assert_array_equal(found.within, again.within)
    assert (found.between != other.between).any()
    assert np.isin(found.within.round(5), whole.within.round(5)).all()
    assert np.isin(found.between.round(5), whole.between.round(5)).all()


@pytest.mark.parametrize("sizes", [(5, 2, 1), (1, 1), (30, 1)])
def test_every_pair_is_drawn_as_often_as_any_other(sizes):
    sizes = np.array(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    label = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    count = len(label)
    expected = {True: int((sizes * (sizes - 1) // 2).sum())}
    expected[False] = count * (count - 1) // 2 - expected[True]
    for same, draw in ((True, module._pairs_within), (False, module._pairs_between)):
        few, all_pairs = draw(starts, sizes, 10**6, rng), expected[same]
        assert len(few[0]) == all_pairs == len({frozenset(p) for p in zip(*few, strict=True)})
        if all_pairs < 2:
            continue
        most = all_pairs - 1
        drawn = [draw(starts, sizes, most, rng) for _ in range(20_000 // most)]
        first = np.concatenate([a for a, _ in drawn])
        second = np.concatenate([b for _, b in drawn])
        assert (first != second).all()
        assert ((label[first] == label[second]) == same).all()
        keys = np.minimum(first, second) * count + np.maximum(first, second)
        counts = np.unique(keys, return_counts=True)[1]
        assert len(counts) == all_pairs
        mean = len(keys) / all_pairs
        assert np.abs(counts - mean).max() < 6 * np.sqrt(mean)


def test_images_without_a_label_belong_to_no_pair(searcher, embedder):
    notes = {i: Annotation("" if i.startswith("brick") else "thing") for i in searcher.ids}
    update(searcher.gallery, embedder, labels=notes)
    found = distribution(Searcher(searcher.gallery, embedder.model))
    assert found.pairs_within == 36 * 35 // 2 and found.pairs_between == 0
    assert len(found.between) == 0 and found.auc is None
    assert len(found.baseline)


def test_a_gallery_without_labels_has_only_random_pairs(searcher, embedder):
    update(searcher.gallery, embedder, labels=dict.fromkeys(searcher.ids, Annotation()))
    found = distribution(Searcher(searcher.gallery, embedder.model))
    assert (found.pairs_within, found.pairs_between, found.auc) == (0, 0, None)
    assert len(found.within) == len(found.between) == 0 < len(found.baseline)


def test_separation_counts_ties_half():
    assert separation(np.array([0.5, 0.9]), np.array([0.1, 0.5])) == pytest.approx(3.5 / 4)
    assert separation(np.array([1.0]), np.array([0.0])) == 1
    assert separation(np.array([]), np.array([0.0])) is None


# ── the ladder ───────────────────────────────────────────────────────────────────────────────────


def test_pairs_stand_at_their_steps_and_no_image_twice(searcher):
    found = ladder(searcher, pairs=2)
    assert [rung.step for rung in found] == list(STEPS)
    pairs = [pair for rung in found for pair in rung.pairs]
    assert pairs
    images = [image for pair in pairs for image in (pair.first, pair.second)]
    assert len(set(images)) == len(images)
    for rung in found:
        assert len(rung.pairs) <= 2
        for pair in rung.pairs:
            value = float(searcher.vector(pair.first) @ searcher.vector(pair.second))
            assert pair.similarity == pytest.approx(value, abs=1e-5)
            assert abs(value - rung.step) <= TOLERANCE + 1e-5
            assert pair.percentile == pytest.approx((searcher.baseline < value).mean(), abs=2e-3)


def test_the_nearest_pair_comes_first(searcher):
    values = [value for value, _ in every_pair(searcher)]
    step = float(np.median(values))
    (rung,) = ladder(searcher, steps=(step,), pairs=3)
    assert len(rung.pairs) == 3
    away = [abs(pair.similarity - step) for pair in rung.pairs]
    assert away == sorted(away)
    assert away[0] == pytest.approx(min(abs(value - step) for value in values), abs=1e-6)


def test_a_step_without_a_pair_is_empty(searcher):
    low = min(value for value, _ in every_pair(searcher))
    rung, other = ladder(searcher, steps=(low - 0.2, 1.0), tolerance=0.05)
    assert rung.pairs == () and rung.percentile == 0
    assert other.step == 1.0


def test_a_large_gallery_is_sampled_and_its_nearest_pairs_are_still_found(searcher, monkeypatch):
    monkeypatch.setattr(rungs, "_SAMPLE", 12)
    monkeypatch.setattr(rungs, "_PROBES", 12)
    best = max(value for value, _ in every_pair(searcher))
    found = [ladder(searcher, steps=(best,), pairs=1, tolerance=0.03, seed=s) for s in (0, 0, 1)]
    assert found[0] == found[1]
    sampled = {x for rungs_ in found for r in rungs_ for p in r.pairs for x in (p.first, p.second)}
    assert sampled <= set(searcher.ids)
    first, second, values = rungs._candidates(searcher, np.random.default_rng(0))
    assert (first != second).all()
    pairs = {tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(pairs) > 12 * 11 // 2  # others than those of the sample
    for a, b, value in zip(first[::9], second[::9], values[::9], strict=True):
        expected = searcher.vector(searcher.ids[a]) @ searcher.vector(searcher.ids[b])
        assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("wrong", [{"steps": (1.2,)}, {"pairs": 0}, {"tolerance": 0.0}])
def test_a_ladder_that_cannot_be(wrong, searcher):
    with pytest.raises(InputError, match="steps lie between -1 and 1"):
        ladder(searcher, **wrong)
