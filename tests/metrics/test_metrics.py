"""Metrics against plain loops, scikit-learn and torchmetrics' definition; intervals and tests."""

import itertools
import statistics

import numpy as np
import pytest

from aina_core import metrics
from aina_core.metrics import Over
from aina_core.metrics.resampling import draws

K = (1, 3, 5, 8)


@pytest.fixture(scope="module")
def lists():
    """60 queries' hits at 8 ranks, some without any, and how many are relevant in all."""
    rng = np.random.default_rng(3)
    relevant = rng.random((60, 8)) < rng.random((60, 1))
    relevant[:4] = False
    return relevant, relevant.sum(axis=1) + rng.integers(1, 5, 60)


def loop(row, total, k):
    """Precision, recall, F1 and AP of one query, as one would say them."""
    hits, precisions = 0, []
    for rank in range(1, k + 1):
        if row[rank - 1]:
            hits += 1
            precisions.append(hits / rank)
    precision, recall = hits / k, hits / total
    f1 = 0.0 if hits == 0 else 2 * precision * recall / (precision + recall)
    return precision, recall, f1, statistics.mean(precisions) if precisions else 0.0


@pytest.mark.parametrize("k", K)
def test_rankings_against_a_plain_loop(lists, k):
    relevant, totals = lists
    expected = [loop(row, total, k) for row, total in zip(relevant, totals, strict=True)]
    found = (
        metrics.precision(relevant, k),
        metrics.recall(relevant, totals, k),
        metrics.f1(relevant, totals, k),
        metrics.average_precision(relevant, k),
    )
    np.testing.assert_allclose(np.stack(found, axis=1), expected, atol=1e-12)


def test_average_precision_is_scikit_learns_where_the_list_is_whole(lists):
    from sklearn.metrics import average_precision_score

    relevant = lists[0][lists[0].any(axis=1)][::3]
    scores = -np.arange(8)
    expected = [average_precision_score(row, scores) for row in relevant]
    np.testing.assert_allclose(metrics.average_precision(relevant, 8), expected, atol=1e-12)


@pytest.mark.parametrize("k", K)
def test_precision_recall_and_f1_are_scikit_learns_of_the_first_k_taken_for_relevant(lists, k):
    from sklearn.metrics import f1_score, precision_score, recall_score

    relevant, totals = lists
    for row, total in zip(relevant[::5], totals[::5], strict=True):
        truth = np.concatenate([row, np.ones(total - row.sum(), bool)])
        taken = np.arange(len(truth)) < k
        at = row[None], np.array([total]), k
        expected = [f(truth, taken, zero_division=0) for f in (recall_score, f1_score)]
        assert [metrics.recall(*at)[0], metrics.f1(*at)[0]] == pytest.approx(expected)
        if len(truth) >= k:
            expected = precision_score(truth, taken, zero_division=0)
            assert metrics.precision(row[None], k)[0] == pytest.approx(expected)


def test_a_list_shorter_than_k():
    relevant = np.array([[True, False, True]])
    assert metrics.precision(relevant, 5) == pytest.approx(2 / 5)
    assert metrics.average_precision(relevant, 5) == pytest.approx((1 + 2 / 3) / 2)


def test_r_precision_and_the_ideal():
    np.testing.assert_allclose(metrics.r_precision([1, 4], [4, 4]), [0.25, 1])
    assert metrics.ideal_hits(np.array([5, 2]), 3).tolist() == [3, 2]


@pytest.fixture(scope="module")
def scores():
    """Similarities with many ties: of 30 queries to 4 each, and of 200 pairs of them."""
    rng = np.random.default_rng(5)
    positive = rng.normal(0.6, 0.2, (30, 4)).round(1)
    pairs = np.array([rng.choice(30, 2, replace=False) for _ in range(200)])
    return positive, rng.normal(0.4, 0.2, 200).round(1), pairs


def test_the_area_under_the_curve(scores):
    from sklearn.metrics import roc_auc_score

    positive, negative, _ = scores
    pairs = itertools.product(positive.ravel(), negative)
    expected = statistics.mean(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs)
    found = metrics.roc_auc(positive, negative)
    assert found == pytest.approx(expected)
    truth = np.repeat([1, 0], [positive.size, len(negative)])
    assert found == pytest.approx(roc_auc_score(truth, np.r_[positive.ravel(), negative]))
    assert metrics.placements(positive, negative).mean() == pytest.approx(found)


# ── intervals ────────────────────────────────────────────────────────────────────────────────────


def drawn(count, seed, resamples, width=1):
    return np.concatenate([*draws(count, seed=seed, resamples=resamples, width=width)])


def test_draws_depend_on_the_seed_alone_not_on_the_blocks():
    small = drawn(50, 1, 300)
    assert (small.sum(axis=1) == 50).all() and small.shape == (300, 50)
    np.testing.assert_array_equal(small, drawn(50, 1, 300, width=1 << 16))  # a row at a time
    assert (small != drawn(50, 2, 300)).any()


def repeated(values, counts):
    return [v for v, n in zip(values, counts, strict=True) for _ in range(n)]


@pytest.mark.parametrize("width", [1, 3])
def test_resamples_of_queries_against_a_plain_loop(width):
    values = np.random.default_rng(2).normal(size=(9, width)).round(1)
    loops = {"mean": np.mean, "std": np.std, "median": np.median}
    for name, function in loops.items():
        found = getattr(metrics, f"bootstrap_{name}")(values, Over(9), seed=4, resamples=40)
        expected = [function(repeated(values, counts)) for counts in drawn(9, 4, 40)]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_resamples_of_pairs_against_a_plain_loop(scores):
    _, negative, pairs = scores
    weights = [counts[pairs[:, 0]] * counts[pairs[:, 1]] for counts in drawn(30, 4, 25)]
    for name, function in {"mean": np.mean, "std": np.std, "median": np.median}.items():
        bootstrap = getattr(metrics, f"bootstrap_{name}")
        found = bootstrap(negative, Over(30, pairs), seed=4, resamples=25)
        expected = [function(repeated(negative, each)) for each in weights]
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("each", [1, 2])
def test_resamples_of_the_area_against_a_plain_loop(scores, each):
    positive, negative, pairs = scores
    negative = np.stack([negative + 0.1 * n for n in range(each)], axis=1)
    found = metrics.bootstrap_auc(positive, negative, pairs, seed=7, resamples=20)
    for value, counts in zip(found, drawn(30, 7, 20), strict=True):
        some = np.array(repeated(positive, counts))
        others = repeated(negative, counts[pairs[:, 0]] * counts[pairs[:, 1]])
        assert value == pytest.approx(metrics.roc_auc(some, np.array(others).ravel()))


def test_a_resample_without_a_pair_is_ignored():
    positive, negative = np.array([0.9, 0.8]), np.array([0.1, 0.2])
    pairs = np.array([[0, 1], [1, 0]])
    found = metrics.bootstrap_auc(positive, negative, pairs, seed=0, resamples=50)
    assert np.isnan(found).any() and metrics.interval(found) == (1, 1)
    assert all(np.isnan(metrics.interval(np.full(3, np.nan))))


def test_intervals_cover_the_truth_at_their_level():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        values = rng.normal(2, 1, 50)
        low, high = metrics.interval(
            metrics.bootstrap_mean(values, Over(50), seed=seed, resamples=400)
        )
        held += low < 2 < high
    assert 178 <= held <= 199, "95% of 200, to four standard deviations"


# ── tests ────────────────────────────────────────────────────────────────────────────────────────


def test_signs_are_flipped_as_in_a_plain_loop():
    differences = np.array([0.3, -0.1, 0.25, 0.0, 0.4, -0.05])
    sums = [abs(np.dot(s, differences)) for s in itertools.product([1, -1], repeat=6)]
    expected = np.mean([one >= abs(differences.sum()) - 1e-12 for one in sums])
    assert metrics.sign_flip_test(differences, seed=0) == pytest.approx(expected)


def test_many_signs_are_drawn():
    rng = np.random.default_rng(1)
    clear = metrics.sign_flip_test(rng.normal(0.5, 1, 100), seed=0)
    assert clear == pytest.approx(1e-4, abs=1e-4)
    values = [metrics.sign_flip_test(rng.normal(0, 1, 40), seed=0, flips=400) for _ in range(200)]
    assert 0.005 <= np.mean(np.array(values) < 0.05) <= 0.11, "no effect: 5% below .05"
    assert metrics.sign_flip_test(np.zeros(7), seed=0) == 1
