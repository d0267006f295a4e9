"""Losses, batches and splits of trainings, against plain loops and by what they promise."""

import itertools
import math

import numpy as np
import pytest
import torch

from aina_core.errors import InputError
from aina_core.training.batches import Sampler, able, by_code, by_version
from aina_core.training.evaluation import label_hits, recovery_hits
from aina_core.training.losses import metric_loss, pair_batch, reconstruction_loss
from aina_core.training.networks import whitening
from aina_core.training.split import families, split
from tests.support.trainings import small


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(10, 6, generator=generator), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])


def distances(embeddings):
    rows = [row / math.sqrt(sum(x * x for x in row)) for row in embeddings.numpy().astype(float)]
    return [[math.dist(a, b) for b in rows] for a in rows]


def test_contrastive_by_a_plain_loop(batch):
    embeddings, groups = batch
    between, margin = distances(embeddings), 0.9
    near, far = [], []
    for i, j in itertools.permutations(range(10), 2):
        if groups[i] == groups[j]:
            near.append(between[i][j])
        elif between[i][j] < margin:
            far.append(margin - between[i][j])
    loss = metric_loss(small("siamese", "x", margin=margin))
    expected = sum(near) / len(near) + sum(far) / len(far)
    assert float(loss(embeddings, groups)) == pytest.approx(expected, abs=1e-5)


def test_triplet_batch_hard_by_a_plain_loop(batch):
    embeddings, groups = batch
    between, margin, found = distances(embeddings), 0.2, []
    for i in range(10):
        others = [j for j in range(10) if j != i]
        positive = max(between[i][j] for j in others if groups[i] == groups[j])
        negative = min(between[i][j] for j in others if groups[i] != groups[j])
        found.append(positive - negative + margin)
    above = [value for value in found if value > 0]
    loss = metric_loss(small("triplet", "x"))
    assert float(loss(embeddings, groups)) == pytest.approx(sum(above) / len(above), abs=1e-5)


def test_triplet_semi_hard_by_a_plain_loop(batch):
    embeddings, groups = batch
    between, margin, found = distances(embeddings), 0.2, []
    for i, j in itertools.permutations(range(10), 2):
        for k in range(10):
            if groups[i] == groups[j] != groups[k]:
                gap = between[i][k] - between[i][j]
                if 0 < gap <= margin:
                    found.append(margin - gap)
    loss = metric_loss(small("triplet", "x", mining="semi-hard"))
    assert found
    above = [value for value in found if value > 0]
    assert float(loss(embeddings, groups)) == pytest.approx(sum(above) / len(above), abs=1e-5)


@pytest.mark.parametrize("name", ["infonce", "supcon"])
def test_losses_with_a_temperature_by_a_plain_loop(batch, name):
    embeddings, groups = batch
    unit = torch.nn.functional.normalize(embeddings, dim=1).double().numpy()
    alike, temperature = unit @ unit.T / 0.3, []
    for i in range(10):
        others = [j for j in range(10) if j != i]
        everything = sum(math.exp(alike[i][j]) for j in others)
        terms = []
        for j in others:
            if groups[i] == groups[j]:
                rest = sum(math.exp(alike[i][k]) for k in others if groups[k] != groups[i])
                below = everything if name == "supcon" else rest + math.exp(alike[i][j])
                terms.append(-math.log(math.exp(alike[i][j]) / below))
        temperature.append(terms)
    if name == "supcon":
        expected = sum(sum(terms) / len(terms) for terms in temperature) / 10
    else:
        flat = [term for terms in temperature for term in terms]
        expected = sum(flat) / len(flat)
    loss = metric_loss(small("triplet", "x", loss=name, temperature=0.3))
    assert float(loss(embeddings, groups)) == pytest.approx(expected, abs=1e-4)


def test_multi_similarity_falls_when_groups_draw_together(batch):
    embeddings, groups = batch
    loss = metric_loss(small("triplet", "x", loss="multi-similarity"))
    centres = torch.eye(6)[groups]
    assert float(loss(centres, groups)) < float(loss(embeddings, groups))


def test_reconstruction_and_divergence_by_a_plain_loop():
    generator = torch.Generator().manual_seed(1)
    pictures, targets = torch.rand(2, 2, 3, 4, 4, generator=generator)
    means, logs = torch.randn(2, 2, 5, generator=generator)
    expected = 0.0
    for b in range(2):
        flat = zip(pictures[b].flatten().tolist(), targets[b].flatten().tolist(), strict=True)
        expected += sum((p - t) ** 2 for p, t in flat)
        for mean, log in zip(means[b].tolist(), logs[b].tolist(), strict=True):
            expected -= 0.5 * (1 + log - mean**2 - math.exp(log))
    found = reconstruction_loss(pictures, targets, means, logs)
    assert float(found) == pytest.approx(expected / 2 / 48, rel=1e-5)
    plain = reconstruction_loss(pictures, targets, means, None)
    assert float(plain) == pytest.approx(float((pictures - targets).square().mean()), rel=1e-5)


def test_pairs_are_half_alike_and_some_negatives_are_the_nearest(batch):
    embeddings, groups = batch
    torch.manual_seed(0)
    first, second, same = pair_batch(embeddings, groups)
    assert ((groups[first] == groups[second]) == same.bool()).all()
    assert same.mean() == 0.5 and (first != second).all()
    between = distances(embeddings)
    nearest = {
        (i, min((between[i][j], j) for j in range(10) if groups[j] != groups[i])[1])
        for i in range(10)
    }
    chosen = set(zip(first.tolist(), second.tolist(), strict=True))
    assert len(nearest & chosen) >= 5


def test_batches_are_the_same_for_the_same_seed_and_hold_whole_groups():
    sampler = Sampler(by_version(np.arange(7), np.arange(4)), groups=3, members=2)
    first, again = (list(sampler.epoch(5, 1)) for _ in range(2))
    assert len(first) == sampler.steps() == 3
    for one, other in zip(first, again, strict=True):
        assert (one.places == other.places).all() and (one.columns == other.columns).all()
        assert (np.unique(one.groups, return_counts=True)[1] == 2).all()
        assert len(np.unique(one.groups)) >= 2, "without a second group there are no negatives"
    assert any(
        (a.places.shape != b.places.shape) or (a.places != b.places).any()
        for a, b in zip(first, sampler.epoch(5, 2), strict=True)
    )
    everyone = np.concatenate([batch.places for batch in first])
    assert set(everyone.tolist()) == set(range(7))


def test_groups_by_code_leave_out_what_has_no_partner():
    pools = by_code(np.array([3, 5, 6, 9, 11]), np.array([1, 0, 1, -1, -1]))
    assert [pool[:, 0].tolist() for pool in pools] == [[3, 6]]


def test_a_split_has_everyone_once_and_tears_no_family():
    ids = [f"{n}" for n in range(40)]
    kin = families(ids, [("0", "1"), ("1", "2"), ("7", "9"), ("3", "elsewhere")]).of
    assert kin[0] == kin[1] == kin[2] and kin[7] == kin[9] and len(set(kin.tolist())) == 37
    made = split(kin, 0.5, 4)
    parts = (made.train, made.validation, made.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(40))
    for part in parts:
        for other in parts:
            if part is not other:
                assert not set(kin[part].tolist()) & set(kin[other].tolist())
    again = split(kin, 0.5, 4)
    assert again.test.tolist() == made.test.tolist() != split(kin, 0.5, 5).test.tolist()
    with pytest.raises(InputError, match="too few to be split"):
        split(np.arange(4), 0.5, 0)


def test_hits_by_a_plain_loop():
    rng = np.random.default_rng(2)
    versions = rng.normal(size=(5, 3, 4)).astype(np.float32)
    versions /= np.linalg.norm(versions, axis=2, keepdims=True)
    found = recovery_hits(versions, 4)
    for place in range(5):
        others = [(i, c) for i in range(5) for c in range(3) if (i, c) != (place, 0)]
        others.sort(key=lambda at: -float(versions[place, 0] @ versions[at]))
        assert found[place].tolist() == [i == place for i, _ in others[:4]]
    rows, codes = versions[:, 0], np.array([0, 1, 0, 1, -1])
    asked = able(codes)
    assert asked.tolist() == [0, 1, 2, 3]
    hits = label_hits(rows, codes, asked)
    for line, place in zip(hits, asked, strict=True):
        others = sorted((i for i in range(5) if i != place), key=lambda i: -rows[place] @ rows[i])
        assert line.tolist() == [codes[i] == codes[place] for i in others]


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("dance", {}, "no kind of training named 'dance'"),
        ("adapter", {}, "needs the model"),
        ("adapter", {"model": "tiny", "positives": "augment"}, "cannot be augmented"),
        ("adapter", {"model": "tiny@fast"}, "without a variant"),
        ("adapter", {"model": "tiny", "trunk": "trained"}, "leave the trunk out"),
        ("siamese", {"model": "tiny", "head": "none"}, "nothing to train"),
        ("siamese", {"head": "linear"}, "leave the head out"),
        ("siamese", {"model": "tiny", "head": "whitening"}, "begins from stored embeddings"),
        ("siamese", {"loss": "hinge"}, "no loss 'hinge'"),
        ("siamese", {"side": 20}, "multiple of 16"),
        ("siamese", {"rate": float("nan")}, "rate is nan"),
        ("siamese", {"epochs": 0}, "epochs is 0"),
        ("siamese", {"members": 1}, "members is 1"),
        ("siamese", {"positives": "colour"}, "no positives 'colour'"),
        ("siamese", {"hold_out": ("rotated/45",)}, "not among the changes"),
        ("siamese", {"hold_out": ("modifications",), "changes": ("modifications",)}, "leave some"),
        ("siamese", {"hold_out": ("mirrored",)}, "mirrors and crops, so mirrored cannot"),
        ("siamese", {"hold_out": ("cropped/center",)}, "so cropped/center cannot be held out"),
        ("adapter", {"model": "tiny", "head_dim": 128}, "--head-dim is of the head linear, which"),
        ("siamese", {"model": "tiny", "shrinkage": 0.5}, "--shrinkage is of the head whitening"),
        ("triplet", {"loss": "infonce", "margin": 0.1}, "--margin is of the losses contrastive"),
        ("siamese", {"mining": "semi-hard"}, "--mining is of the loss triplet"),
        ("triplet", {"temperature": 0.1}, "--temperature is of the losses infonce and supcon"),
        ("siamese-dense", {"margin": 1.0}, "--margin is of the losses"),
        ("siamese", {"model": "tiny", "side": 64}, "--side is of a network from scratch"),
        ("adapter", {"model": "tiny", "dim": 0}, "dimension is 0"),
        ("triplet", {"combine": "concat"}, "--combine is of the kind siamese-dense"),
        ("triplet", {"trunk": "frozen"}, "--trunk is of a registered model"),
        ("siamese-dense", {"loss": "triplet"}, "loss of its own"),
        ("vae", {"positives": "labels"}, "needs no positives"),
        ("vae", {"model": "tiny"}, "from scratch"),
        ("triplet", {"mining": "soft"}, "no mining 'soft'"),
        ("triplet", {"test_share": 0.99}, "test share is 0.99"),
    ],
)
def test_what_cannot_be_is_said(home, tiny, kind, options, sentence):
    with pytest.raises(InputError, match=sentence):
        small(kind, "x", **options)


@pytest.mark.parametrize("name", ["", "a/b", "a@fast", "timm:x", "../x", ".x", "tiny", "ü"])
def test_names_that_cannot_be(home, tiny, name):
    with pytest.raises(InputError, match=r"cannot name a model|already"):
        small("siamese", name)


def test_whitening_makes_differences_within_groups_alike_in_all_directions():
    rng = np.random.default_rng(0)
    spread = np.diag([3.0, 1.0, 0.2, 0.05])
    groups = np.repeat(np.arange(200), 5)
    rows = rng.normal(size=(200, 4))[groups] + rng.normal(size=(1000, 4)) @ spread
    weight, bias = whitening(rows.astype(np.float32), groups, 1e-9)
    mapped = rows @ weight.T + bias
    assert abs(mapped.mean(axis=0)).max() < 1e-4
    means = np.stack([mapped[groups == group].mean(axis=0) for group in range(200)])
    within = mapped - means[groups]
    covariance = within.T @ within / len(within)
    assert covariance == pytest.approx(np.eye(4) * covariance[0, 0], abs=1e-3 * covariance[0, 0])
    assert np.linalg.norm(weight, 2) == pytest.approx(1)
    nearly, _ = whitening(rows.astype(np.float32), groups, 1e6)
    assert nearly == pytest.approx(np.eye(4), abs=1e-4)
