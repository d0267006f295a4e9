"""A head for pairs: what stops its training, and what it is held against at the end."""

import dataclasses

import numpy as np
import pytest
import torch

from aina_core.embedding import load_embedder
from aina_core.gallery import open_gallery
from aina_core.search.searcher import Searcher
from aina_core.training import train
from aina_core.training.evaluation import nearest_others, validation_score
from aina_core.training.pair_head import calibrate, held_out_pairs, pair_accuracy, platt
from aina_core.training.plan import plan
from tests.support.trainings import small


def unit(rng, *shape):
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def odd(first, second):
    """Logits that have little to do with the cosine, and equal ones among them."""
    return np.round((first[:, 0] - second[:, 0]) ** 2 - first[:, 1] * second[:, 1], 1)


def test_the_nearest_by_cosine_in_the_order_of_the_head(monkeypatch):
    monkeypatch.setattr("aina_core.training.evaluation.FEWEST", 7)
    rows = unit(np.random.default_rng(4), 30, 3)
    asked = np.array([2, 11, 29])
    for k in (3, 12):
        found = nearest_others(rows[asked], rows, asked, k, odd)
        for query, near in zip(asked, found, strict=True):
            others = sorted(
                (n for n in range(30) if n != query), key=lambda n: -rows[query] @ rows[n]
            )
            best = others[: max(k, 7)]
            best.sort(key=lambda n: -odd(rows[query : query + 1], rows[n : n + 1])[0])
            assert near.tolist() == best[:k]


@pytest.mark.parametrize("positives", ["labels", "modifications"])
def test_the_score_is_retrieval_of_the_kind_trained_on_as_the_head_ranks_it(searcher, positives):
    made = plan(small("siamese-dense", "x", model="tiny", positives=positives), searcher.gallery)
    table = unit(np.random.default_rng(1), len(made.originals), 1 + len(made.changes), 6)

    def rows(places, columns):
        return table[places, columns]

    if positives == "labels":
        searched = [place for place in range(40) if place not in made.split.test]
        of = {place: made.codes[place] for place in searched}
        asked = [p for p in made.split.validation if list(of.values()).count(of[p]) > 1]
        items, k = [(place, 0) for place in searched], 5
    else:
        asked, k = list(made.checked), len(made.changes)
        of = {place: place for place in asked}
        items = [(place, column) for place in asked for column in range(1 + k)]
    hits = []
    for query in asked:
        others = np.array([item for item in items if item != (query, 0)])
        near = rows(*others.T)
        own = np.repeat(table[query, :1], len(near), axis=0)
        order = np.lexsort([-near @ table[query, 0], -odd(own, near)])  # the last decides first
        hits.append(np.mean([of[query] == of[place] for place, _ in others[order][:k]]))
    assert asked
    assert validation_score(rows, made, odd) == pytest.approx(np.mean(hits))


@pytest.mark.parametrize("positives", ["labels", "modifications"])
def test_held_out_pairs_are_of_the_kind_trained_on(searcher, positives):
    made = plan(small("siamese-dense", "x", model="tiny", positives=positives), searcher.gallery)
    pairs = held_out_pairs(made, 0)
    allowed = made.split.test if positives == "labels" else made.judged
    assert np.isin(pairs.queries, allowed).all() and np.isin(pairs.places, allowed).all()
    for query in np.unique(pairs.queries):
        assert pairs.alike[pairs.queries == query].mean() == 0.5
    if positives == "labels":
        assert ((made.codes[pairs.queries] == made.codes[pairs.places]) == pairs.alike).all()
        assert (pairs.queries != pairs.places).all() and not pairs.columns.any()
    else:
        assert ((pairs.queries == pairs.places) == pairs.alike).all()
        assert set(pairs.columns) == {1, 2, 3}
    again = held_out_pairs(made, 0)
    assert (again.places == pairs.places).all()
    assert (held_out_pairs(made, 1).places != pairs.places).any()

    kind = made.codes if positives == "labels" else np.arange(40)

    def knows(first, second):  # rows are the numbers of originals
        return np.where(kind[first[:, 0]] == kind[second[:, 0]], 1.0, -1.0)

    told = pair_accuracy(knows, lambda places, columns: places[:, None], pairs, 0)
    assert told == {"accuracy": 1.0, "interval": [1.0, 1.0], "n": len(pairs.queries)}
    told = pair_accuracy(lambda a, b: np.ones(len(a)), lambda p, c: p[:, None], pairs, 0)
    assert told["accuracy"] == 0.5


def test_no_pairs_without_two_originals_or_two_labels(searcher):
    made = plan(small("siamese-dense", "x", model="tiny"), searcher.gallery)
    assert held_out_pairs(dataclasses.replace(made, judged=made.judged[:1]), 0) is None
    one = dataclasses.replace(made, by_code=True, codes=np.zeros_like(made.codes))
    assert held_out_pairs(one, 0) is None
    none = dataclasses.replace(made, by_code=True, codes=np.full_like(made.codes, -1))
    assert held_out_pairs(none, 0) is None


@pytest.mark.parametrize("positives", ["labels", "modifications"])
def test_a_head_over_a_frozen_trunk_is_trained_stopped_and_judged_by_its_own_ranking(
    searcher, positives
):
    options = {"model": "tiny", "positives": positives, "epochs": 40, "rate": 3e-3, "patience": 0}
    settings = small("siamese-dense", "dense", **options)
    record = train(settings)
    scores, best = record["curves"]["scores"], record["curves"]["best"]
    assert scores[best] == max(scores) > scores[0], "the head learns to rank"
    result = record["result"]
    assert result["after"] == pytest.approx(result["before"], abs=1e-6)
    assert result["reranked"]["before"] == result["before"]
    assert result["reranked"]["after"] != result["before"]
    if positives == "modifications":
        losses = record["curves"]["losses"]
        assert losses[1] > 0.6 and losses[-1] < 0.45 and result["pairs"]["accuracy"] > 0.6
        return
    # the same, by the model as it is stored and used
    made, judge = plan(settings, searcher.gallery), load_embedder("dense", device="cpu")
    opened = Searcher(open_gallery("photos"), "tiny")
    vectors = {place: opened.vector(one.id) for place, one in enumerate(made.originals)}
    pairs = held_out_pairs(made, settings.seed)
    likely = [
        judge.pair_probabilities(vectors[query], vectors[partner][None])[0]
        for query, partner in zip(pairs.queries, pairs.places, strict=True)
    ]
    right = (np.array(likely) >= 0.5) == pairs.alike
    found = np.mean([right[pairs.queries == query].mean() for query in np.unique(pairs.queries)])
    assert result["pairs"]["accuracy"] == pytest.approx(found, abs=1e-6)
    assert result["pairs"]["n"] == len(pairs.queries)


def test_platt_by_a_plain_search():
    rng = np.random.default_rng(0)
    alike = rng.random(400) < 0.5
    logits = (rng.normal(size=400) + 2 * alike) * 0.01 - 3  # in order, all far on one side of 0
    slope, offset = platt(logits, alike)
    up, down = (alike.sum() + 1) / (alike.sum() + 2), 1 / ((~alike).sum() + 2)

    def loss(slope, offset):
        chances = 1 / (1 + np.exp(-(slope * logits + offset)))
        targets = np.where(alike, up, down)
        return -(targets * np.log(chances) + (1 - targets) * np.log(1 - chances)).sum()

    least = loss(slope, offset)
    for a, b in ((1.01, 0), (0.99, 0), (1, 0.05), (1, -0.05), (1.01, 0.05), (0.99, -0.05)):
        assert loss(slope * a, offset + b) > least
    right = (slope * logits + offset >= 0) == alike
    assert slope > 0 and right.mean() > 0.8
    assert platt(-logits, alike) is None, "the order would be turned round"
    assert platt(logits, np.ones(400, bool)) is None
    assert platt(np.full(400, np.nan), alike) is None
    sharp, middle = platt(alike * 2.0 - 1, alike)  # what can be told apart without an error
    assert np.isfinite([sharp, middle]).all() and sharp > 0


def test_calibration_keeps_the_order_and_moves_the_middle():
    torch.manual_seed(0)
    head = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    pairs = torch.randn(300, 4)
    with torch.no_grad():
        head[-1].bias.fill_(-9)
        before = head(pairs)[:, 0].numpy().copy()
        alike = before > np.median(before)
        assert (before < 0).all()
        calibrate(head, before, alike)
        after = head(pairs)[:, 0].numpy()
    assert (np.argsort(before) == np.argsort(after)).all()
    assert ((after >= 0) == alike).mean() > 0.9
