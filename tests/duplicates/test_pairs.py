"""All pairs above a threshold: in blocks, by the index, stored; and their complete-link groups."""

import itertools

import numpy as np
import pytest

from aina_core.duplicates import blocked, effort, pairs
from aina_core.duplicates.effort import choose_effort, exact_pairs
from aina_core.duplicates.groups import complete_link
from aina_core.duplicates.pairs import (
    Pairs,
    compute_pairs,
    find_pairs,
    ordered,
    pair_similarities,
    stored_pairs,
)
from aina_core.errors import InputError, StoppedError, UnknownNameError
from aina_core.index.matmul import device_for, reaching, reaching_on
from aina_core.progress import never, silent
from aina_core.search.searcher import Searcher
from benchmarks.synthetic import clusters, gallery_of

MODEL = "tiny"
FLOOR = 0.9


def planted(count, dim, copies, seed=0):
    """Vectors of which the last `copies` are near to one of the others."""
    rng = np.random.default_rng(seed)
    vectors, _ = clusters(count, dim, groups=20, spread=0.9, seed=seed)
    of = rng.choice(count - copies, copies, replace=False)
    noise = rng.normal(size=(copies, dim)).astype(np.float32) / np.sqrt(dim)
    vectors[count - copies :] = vectors[of] + 0.2 * noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def opened(vectors):
    return Searcher(gallery_of("mine", MODEL, vectors), MODEL)


def by_loop(vectors, rows, floor):
    found = {}
    for one, other in itertools.combinations(rows.tolist(), 2):
        near = np.float32(np.vecdot(vectors[one], vectors[other]))
        if near >= np.float32(floor):
            found[one, other] = min(near, np.float32(1))
    return found


def as_dict(found: Pairs):
    ends = zip(found.first.tolist(), found.second.tolist(), strict=True)
    return dict(zip(ends, found.similarity, strict=True))


@pytest.mark.parametrize("axes", [False, True], ids=["in full", "by axes"])
def test_every_pair_as_by_a_plain_loop(home, monkeypatch, axes):
    vectors = planted(300, 240, 30)
    monkeypatch.setattr(blocked, "_LEFT", 64)
    monkeypatch.setattr(blocked, "_RIGHT", 96)
    monkeypatch.setattr(blocked, "LEAST_FOR_AXES", 0 if axes else 10**9)
    used = []
    bounds = blocked._bounds
    monkeypatch.setattr(blocked, "_bounds", lambda *given: used.append(1) or bounds(*given))
    searcher = opened(vectors)
    searcher.shown[[3, 7, 295]] = False  # their file has changed
    found = find_pairs(searcher, FLOOR)
    expected = by_loop(searcher.matrix, np.flatnonzero(searcher.shown), FLOOR)
    assert len(expected) > 25 and as_dict(found) == expected
    assert used == [1] * axes
    assert (np.diff(found.similarity) <= 0).all() and (found.first < found.second).all()
    assert found.way == "exact" and not found.turn.any()


def test_bounds_are_above_every_cosine_and_sort_most_pairs_out(home):
    vectors = planted(500, 240, 50)
    bounds = blocked._bounds(vectors, np.arange(500))
    cosines = vectors @ vectors.T
    assert (bounds @ bounds.T >= cosines - 1e-5).all()
    assert (bounds @ bounds.T >= FLOOR).mean() < 0.02


@pytest.mark.parametrize("floor", [-1.0, 0.2])
def test_a_low_floor_compares_all_in_full(home, monkeypatch, floor):
    vectors = planted(120, 240, 5)
    monkeypatch.setattr(blocked, "LEAST_FOR_AXES", 0)
    found = find_pairs(opened(vectors), floor)
    assert as_dict(found) == by_loop(vectors, np.arange(120), floor)


def test_the_index_finds_the_same_pairs(home):
    searcher = opened(planted(3000, 24, 200))
    exact, indexed = find_pairs(searcher, 0.98), find_pairs(searcher, 0.98, way="annoy")
    all_, found = as_dict(exact), as_dict(indexed)
    assert len(all_) > 100 and indexed.way == "annoy"
    assert found.items() <= all_.items(), "what it finds is the same to the last bit"
    assert len(found) >= 0.99 * len(all_)


def test_effort_is_the_least_that_finds_the_pairs_of_a_sample(home, monkeypatch):
    """The truth is every pair of the sampled rows; below the floor, their nearest neighbours."""
    vectors = planted(3000, 24, 200)
    searcher, rows = opened(vectors), np.arange(3000)
    monkeypatch.setattr(effort, "SAMPLED", (400, 400))
    monkeypatch.setattr(effort, "_LEAST_PAIRS", 100)
    monkeypatch.setattr(effort, "_COLUMNS", 700)
    sample = np.sort(np.random.default_rng(0).choice(rows, 400, replace=False))
    cosines = (vectors[sample] @ vectors.T).astype(np.float64)
    cosines[np.arange(400), sample] = -2
    for floor in (0.9, 0.995):
        own, others, lowest = exact_pairs(vectors, rows, sample, floor, silent, never)
        truth = {(int(sample[a]), int(b)) for a, b in np.argwhere(cosines >= floor + 1e-5)}
        assert truth <= set(zip(own.tolist(), others.tolist(), strict=True))
        assert (len(truth) < 100) == (lowest < floor) == (floor == 0.995)
        if lowest < floor:
            nearest = np.sort(cosines.max(axis=1))[-100:]
            assert lowest == pytest.approx(nearest[0], abs=1e-4) and len(own) >= 100
    asked = []

    def find(block, share, floor):
        """Half of the pairs at a quarter of the effort, all of them at half."""
        asked.append((share, floor))
        own, found, _ = exact_pairs(vectors, rows, block, floor, silent, never)
        known = slice(None, None, 2 if share < 0.5 else 1)
        return own[known], found[known]

    assert choose_effort(find, vectors, rows, 0.9, silent, never) == (0.5, 1.0)
    assert [share for share, _ in asked] == [1 / 16, 1 / 8, 1 / 4, 1 / 2]
    monkeypatch.setattr(effort, "EFFORTS", (1 / 16, 1 / 8))
    assert choose_effort(find, vectors, rows, 0.9, silent, never) == (
        1 / 8,
        pytest.approx(0.5, abs=0.01),
    )
    kept = find_pairs(searcher, 0.98, way="annoy")
    assert 0.99 <= kept.found <= 1 and stored_pairs(searcher, 0.98, way="annoy").found == kept.found


def test_a_sample_of_collapsed_vectors_is_no_threshold_too_low(home, monkeypatch):
    """All alike but one pair: below the floor there are absurdly many, which nobody asked for."""
    rng = np.random.default_rng(3)
    vectors = np.float32([1] + [0] * 23) + 0.12 * rng.normal(size=(3000, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = vectors[8]
    monkeypatch.setattr(pairs, "MOST_PAIRS", 1500)
    monkeypatch.setattr(effort, "SAMPLED", (500, 500))
    monkeypatch.setattr(effort, "_LEAST_PAIRS", 500)
    found = find_pairs(opened(vectors), 0.999, way="annoy")
    assert (7, 8) in as_dict(found)


def test_neighbours_grow_until_one_is_below(home):
    """Sixty copies of one image have more near neighbours than are asked for at first."""
    vectors = planted(2000, 24, 2)
    vectors[100:160] = vectors[100]
    searcher = opened(vectors)
    found = as_dict(find_pairs(searcher, 0.999, way="annoy"))
    assert {pair for pair in found if set(pair) <= set(range(100, 160))} == set(
        itertools.combinations(range(100, 160), 2)
    )


@pytest.mark.parametrize("way", ["exact", "annoy"])
def test_absurdly_many_pairs_are_refused(home, monkeypatch, way):
    monkeypatch.setattr(pairs, "MOST_PAIRS", 1000)
    with pytest.raises(InputError, match=r"More than 1,000 pairs reach -1\.000.*higher"):
        find_pairs(opened(planted(400, 24, 5)), -1.0, way=way)


def test_few_or_no_images(home):
    for count in (0, 1):
        found = find_pairs(opened(planted(2, 24, 1)[:count]), 0.5)
        assert len(found) == 0 and complete_link(found).groups == ()


@pytest.mark.parametrize("threshold", [1.01, -1.5, float("nan"), float("inf")])
def test_a_threshold_that_is_no_cosine(home, threshold):
    with pytest.raises(InputError, match="is no similarity"):
        find_pairs(opened(planted(20, 24, 2)), threshold)


def test_an_unknown_way(home):
    with pytest.raises(UnknownNameError, match="annoy, exact"):
        find_pairs(opened(planted(20, 24, 2)), 0.9, way="guess")


@pytest.mark.parametrize("way", ["exact", "annoy"])
def test_a_stopped_run_stores_nothing(home, way):
    searcher = opened(planted(300, 24, 20))
    with pytest.raises(StoppedError):
        find_pairs(searcher, 0.9, way=way, stop=lambda: True)
    assert stored_pairs(searcher, 0.9, way=way) is None


def test_pairs_are_stored_and_cut(home, monkeypatch):
    searcher = opened(planted(300, 24, 20))
    found = find_pairs(searcher, 0.8)
    monkeypatch.setattr(blocked, "candidates", lambda *_: pytest.fail("it was stored"))
    again = find_pairs(searcher, 0.9)
    assert as_dict(again) == {k: v for k, v in as_dict(found).items() if v >= np.float32(0.9)}
    assert again.floor == 0.9 and stored_pairs(searcher, 0.7) is None
    searcher.shown[int(found.first[0])] = False  # its file has changed: other pairs now
    assert stored_pairs(searcher, 0.9) is None


def test_damaged_pairs_are_computed_again(home):
    searcher = opened(planted(300, 24, 20))
    found = find_pairs(searcher, 0.9)
    for path in searcher.gallery.store(MODEL).folder.glob("duplicates/exact/similarity-*.npy"):
        path.write_bytes(path.read_bytes()[:-4])
    assert stored_pairs(searcher, 0.9) is None
    assert as_dict(find_pairs(searcher, 0.9)) == as_dict(found)


def test_pairs_below_the_floor_are_refused(home):
    found = find_pairs(opened(planted(100, 24, 5)), 0.9)
    with pytest.raises(InputError, match=r"0\.800 or nearer were asked for"):
        found.above(0.8)


def test_progress_goes_from_nothing_to_all(home, monkeypatch):
    monkeypatch.setattr(blocked, "_LEFT", 64)
    monkeypatch.setattr(blocked, "_RIGHT", 64)
    told = []
    find_pairs(opened(planted(300, 24, 5)), 0.9, progress=lambda *report: told.append(report))
    done = [count for phase, count, total in told if phase == "pairs" and total == 300 * 301 // 2]
    assert done[0] == 0 and done[-1] == 300 * 301 // 2
    assert done == sorted(done) and len(set(done)) == len(done)


def test_reaching_as_by_a_plain_loop():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(9, 5))
    right = right.astype(np.float32)
    found = list(zip(*(part.tolist() for part in reaching(left, right, 0.5)), strict=True))
    assert found == [(i, j) for i in range(7) for j in range(9) if left[i] @ right[j] >= 0.5]
    on_a_device = reaching_on("cpu", left, right, 0.5)
    assert found == list(zip(*(part.tolist() for part in on_a_device), strict=True))
    assert device_for(10) is None


def test_on_a_device_the_pairs_are_the_same(home, monkeypatch):
    searcher = opened(planted(300, 240, 30))
    expected = as_dict(compute_pairs(searcher, FLOOR, "exact", silent, never))
    monkeypatch.setattr(blocked, "device_for", lambda products: "cpu")
    monkeypatch.setattr(blocked, "_DEVICE_LEFT", 100)
    monkeypatch.setattr(blocked, "_DEVICE_RIGHT", 130)
    assert as_dict(compute_pairs(searcher, FLOOR, "exact", silent, never)) == expected


# ── groups ───────────────────────────────────────────────────────────────────────────────────────


def every_pair(similarities, threshold):
    first, second = np.triu_indices(len(similarities), 1)
    near = similarities[first, second].astype(np.float32)
    kept = near >= np.float32(threshold)
    turn = np.zeros(int(kept.sum()), np.int8)
    return ordered(first[kept], second[kept], near[kept], turn, threshold, "exact")


def by_brute_force(similarities, threshold):
    """Join the two clusters whose least similar pair is nearest, as long as it reaches."""
    clusters = [(row,) for row in range(len(similarities))]

    def weakest(one, other):
        return min(similarities[i, j] for i in one for j in other)

    while len(clusters) > 1:
        pair = max(itertools.combinations(clusters, 2), key=lambda both: weakest(*both))
        if weakest(*pair) < threshold:
            break
        clusters = [c for c in clusters if c not in pair] + [tuple(sorted(pair[0] + pair[1]))]
    return sorted(cluster for cluster in clusters if len(cluster) > 1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_groups_as_by_brute_force(seed, threshold):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(25, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similarities = (rows @ rows.T).astype(np.float32)
    found = every_pair(similarities, threshold)
    grouped = complete_link(found)
    assert sorted(group.rows for group in grouped.groups) == by_brute_force(similarities, threshold)
    for group in grouped.groups:
        near = [similarities[pair] for pair in itertools.combinations(group.rows, 2)]
        assert group.weakest == pytest.approx(min(near)) and min(near) >= np.float32(threshold)
        assert group.weakest == found.similarity[group.place]
    inside = sum(len(g.rows) * (len(g.rows) - 1) // 2 for g in grouped.groups)
    assert inside + len(grouped.between) == len(found)


def test_a_chain_is_no_group():
    """The ends of .97, .97 are not alike: following pairs would have joined them."""
    similarities = np.array([[1, 0.98, 0.82], [0.98, 1, 0.97], [0.82, 0.97, 1]])
    grouped = complete_link(every_pair(similarities, 0.97))
    assert [group.rows for group in grouped.groups] == [(0, 1)]
    assert len(grouped.between) == 1, "the pair that is left out is not hidden"
    (all_three,) = complete_link(every_pair(similarities, 0.8)).groups
    assert all_three.rows == (0, 1, 2) and all_three.weakest == pytest.approx(0.82)


def test_ties_are_broken_by_rows():
    similarities = np.full((6, 6), 0.9)
    similarities[0, 5] = similarities[5, 0] = 0.1
    found = every_pair(similarities, 0.5)
    grouped = complete_link(found)
    assert [group.rows for group in grouped.groups] == [(0, 1, 2, 3, 4)]
    assert complete_link(found).groups == grouped.groups


def test_a_pair_is_taken_by_the_turn_that_makes_it_nearest():
    two = np.array([1, 1, 0]), np.array([2, 2, 1])
    found = ordered(*two, np.float32([0.9, 0.95, 0.99]), np.int8([0, 3, 0]), 0.9, "exact")
    assert found.first.tolist() == [0, 1] and found.turn.tolist() == [0, 3]
    assert found.similarity.tolist() == np.float32([0.99, 0.95]).tolist()


def test_a_pair_has_the_similarity_of_search(home):
    searcher = opened(planted(200, 24, 20))
    first, second = np.array([0, 5]), np.array([199, 17])
    near = pair_similarities(np.asarray(searcher.matrix), first, second)
    for one, other, value in zip(first, second, near, strict=True):
        assert searcher.similarities(searcher.matrix[one])[other] == value
