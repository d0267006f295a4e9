"""Similarity matrices, their orders and groups, against plain loops."""

import itertools

import numpy as np
import pytest

from aina_core.changes.modifications import MODIFICATIONS
from aina_core.errors import InputError, UnknownNameError
from aina_core.gallery import Annotation, create, update
from aina_core.search.searcher import Searcher
from aina_core.similarity import groups as grouping
from aina_core.similarity.arrangement import arrange, spans
from aina_core.similarity.groups import QUANTILES, group_matrix
from aina_core.similarity.leaf_order import optimal_leaf_order
from aina_core.similarity.matrix import QUERY_ID, cosines, similarity_matrix
from aina_core.similarity.sets import Chosen, of_images, of_labels, originals, with_modifications


def unit_rows(count, dim=6, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ── the matrix ───────────────────────────────────────────────────────────────────────────────────


def test_every_pair_is_the_product_of_its_two_embeddings(searcher):
    chosen = of_labels(searcher, ["coins", "brick", "camera"])
    matrix = similarity_matrix([searcher], chosen)
    assert matrix.ids == chosen.ids and len(matrix.ids) == 12
    for (i, a), (j, b) in itertools.product(enumerate(matrix.ids), repeat=2):
        expected = sum(x * y for x, y in zip(searcher.vector(a), searcher.vector(b), strict=True))
        assert matrix.values[0, i, j] == pytest.approx(expected, abs=1e-5)
    assert (matrix.values[0] == matrix.values[0].T).all()
    assert (np.diag(matrix.values[0]) == 1).all()


@pytest.mark.parametrize("order", ["given", "label", "cluster"])
def test_an_order_moves_rows_and_columns_with_their_names(order, searcher):
    chosen = of_labels(searcher, ["coins", "brick", "camera"])
    given = similarity_matrix([searcher], chosen)
    matrix = similarity_matrix([searcher], chosen, order=order)
    assert sorted(matrix.ids) == sorted(given.ids)
    for i, a in enumerate(matrix.ids):
        assert matrix.groups[i] == searcher.image(a)[1].label
        for j, b in enumerate(matrix.ids):
            at = given.ids.index(a), given.ids.index(b)
            assert matrix.values[0, i, j] == given.values[0][at]
    assert (matrix.tree is not None) == (order == "cluster")


def test_groups_that_stand_together_are_separated(searcher):
    chosen = of_labels(searcher, ["coins", "brick"])
    assert [tuple(s) for s in similarity_matrix([searcher], chosen).spans] == [
        ("coins", 0, 4),
        ("brick", 4, 8),
    ]
    by_label = similarity_matrix([searcher], chosen, order="label")
    assert [s.name for s in by_label.spans] == ["brick", "coins"]
    mixed = of_images(searcher, [chosen.ids[at] for at in (0, 4, 1)])
    assert similarity_matrix([searcher], mixed).spans == ()
    assert spans(["a", "a"]) == () and spans([]) == ()


def test_several_models_share_the_order_of_the_first(searcher, embedder):
    class Other(Searcher):
        """The same gallery as another model might see it."""

        def vectors(self, image_ids):
            turned = super().vectors(image_ids)[:, ::-1].copy()
            turned[:, 0] *= -1
            return turned

    chosen = of_labels(searcher, ["coins", "brick"])
    other = Other(searcher.gallery, embedder.model)
    matrix = similarity_matrix([searcher, other], chosen, order="cluster")
    alone = similarity_matrix([searcher], chosen, order="cluster")
    assert matrix.ids == alone.ids and matrix.values.shape == (2, 8, 8)
    np.testing.assert_array_equal(matrix.values[0], alone.values[0])


def test_a_query_from_outside_stands_first(searcher):
    vector = searcher.vector(searcher.ids[5])
    chosen = of_images(searcher, searcher.ids[3:7])
    matrix = similarity_matrix([searcher], chosen, query=[vector])
    assert matrix.ids[0] == QUERY_ID and matrix.groups[0] == "query"
    assert matrix.values[0, 0, 1 + 2] == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(
        matrix.values[0, 0, 1:], searcher.vectors(chosen.ids) @ vector, atol=1e-5
    )


def test_images_that_a_model_lacks_are_left_out_and_named(searcher):
    ids = (*searcher.ids[:3], "gone.jpg")
    matrix = similarity_matrix([searcher], Chosen(ids, ("",) * 4))
    assert matrix.left_out == ("gone.jpg",) and matrix.ids == ids[:3]


def test_too_few_too_many_and_an_unknown_order(searcher):
    with pytest.raises(InputError, match="of 1 images; choose 2 to 2,000"):
        similarity_matrix([searcher], of_images(searcher, searcher.ids[:1]))
    many = Chosen((searcher.ids[0],) * 2001, ("",) * 2001)
    with pytest.raises(InputError, match="of 2,001 images"):
        similarity_matrix([searcher], many)
    with pytest.raises(UnknownNameError, match="cluster, given, label"):
        similarity_matrix([searcher], of_images(searcher, searcher.ids), order="size")


def test_cosines_are_symmetric_within_bounds_and_one_on_the_diagonal():
    rows = unit_rows(300, 200)
    rows[7] = rows[3]
    values = cosines(rows)
    assert values.dtype == np.float32 and (values == values.T).all()
    assert np.abs(values).max() <= 1 and (np.diag(values) == 1).all()
    np.testing.assert_allclose(values, rows.astype(np.float64) @ rows.T, atol=1e-5)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


def merges_of(distances):
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    return hierarchy.average(squareform(distances, checks=False))


def orders_of(merges, count, node):
    """Every order of a subtree's leaves that its merges allow."""
    if node < count:
        yield (node,)
        return
    first, second = map(int, merges[node - count, :2])
    for a in orders_of(merges, count, first):
        for b in orders_of(merges, count, second):
            yield a + b
            yield b + a


def cost(distances, order):
    return sum(float(distances[a, b]) for a, b in itertools.pairwise(order))


@pytest.mark.parametrize("seed", range(12))
def test_the_leaf_order_is_the_best_that_the_tree_allows(seed):
    count = 2 + seed % 7
    distances = np.maximum(1 - cosines(unit_rows(count, seed=seed)), 0)
    merges = merges_of(distances)
    allowed = set(orders_of(merges, count, 2 * count - 2))
    found = tuple(optimal_leaf_order(merges, distances).tolist())
    assert found in allowed
    assert cost(distances, found) == pytest.approx(min(cost(distances, o) for o in allowed))


def test_a_large_leaf_order_is_no_worse_than_scipys():
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    distances = np.maximum(1 - cosines(unit_rows(200, 12)), 0)
    merges = merges_of(distances)
    found = optimal_leaf_order(merges, distances)
    assert sorted(found.tolist()) == list(range(200))
    theirs = hierarchy.leaves_list(
        hierarchy.optimal_leaf_ordering(merges, squareform(distances, checks=False))
    )
    assert cost(distances, found) <= cost(distances, theirs) + 1e-4


def test_a_chain_as_deep_as_it_has_leaves():
    points = 1.5 ** np.arange(30)  # each joins all those before it
    distances = np.abs(points[:, None] - points).astype(np.float32)
    found = optimal_leaf_order(merges_of(distances), distances).tolist()
    assert found in (list(range(30)), list(range(30))[::-1])


def test_the_dendrogram_joins_neighbours_at_their_distance():
    values = cosines(unit_rows(9))
    arranged = arrange(values, [""] * 9, "cluster")
    assert arranged.tree.shape == (8, 4, 2)
    merges = merges_of(np.maximum(1 - values, 0))
    np.testing.assert_allclose(arranged.tree[:, 1, 1], merges[:, 2], atol=1e-6)
    np.testing.assert_array_equal(arranged.tree[:, 1, 1], arranged.tree[:, 2, 1])
    first, second = merges[0, :2].astype(int)  # the nearest pair lies side by side
    places = {row: place for place, row in enumerate(arranged.rows.tolist())}
    assert abs(places[first] - places[second]) == 1
    assert {arranged.tree[0, 0, 0], arranged.tree[0, 3, 0]} == {places[first], places[second]}
    leaves = arranged.tree[:, [0, 3]].reshape(-1, 2)
    assert sorted(leaves[leaves[:, 1] == 0, 0].tolist()) == list(range(9))


# ── sets ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def studied(home, photos, embedder):
    """Twelve photographs, some of which are modifications of others."""
    names = {"0.png": "original", "1.jpg": "rotated/180", "2.jpg": "bordered/#000"}
    notes = {
        f"{label}/{name}": Annotation(label, columns={"modification": modification})
        for label in ("astronaut", "camera")
        for name, modification in names.items()
    }
    gallery = create("studied", photos)
    update(gallery, embedder, labels=notes)
    return Searcher(gallery, embedder.model)


def test_an_original_comes_with_its_modifications_in_the_order_of_the_tables(studied):
    assert originals(studied) == ["astronaut/0.png", "camera/0.png"]
    chosen = with_modifications(studied, "camera/0.png")
    assert chosen.ids == ("camera/0.png", "camera/2.jpg", "camera/1.jpg")
    assert chosen.groups == ("original", "bordered", "rotated")
    assert list(MODIFICATIONS).index("bordered/#000") < list(MODIFICATIONS).index("rotated/180")


def test_labels_come_in_the_order_given_and_their_images_in_that_of_the_tables(studied):
    chosen = of_labels(studied, ["camera", "astronaut"])
    assert chosen.groups == ("camera",) * 4 + ("astronaut",) * 4
    assert chosen.ids[:4] == ("camera/0.png", "camera/2.jpg", "camera/1.jpg", "camera/3.jpg")
    assert set(of_labels(studied, ()).groups) == {"astronaut", "brick", "camera"}
    assert of_labels(studied, ["dragon"]).ids == ()


def test_a_selection_keeps_its_order_and_loses_what_cannot_be_found(studied):
    chosen = of_images(studied, ["camera/1.jpg", "no.jpg", "brick/1.jpg", "camera/1.jpg"])
    assert chosen == Chosen(("camera/1.jpg", "brick/1.jpg"), ("camera", "brick"))


def test_an_original_that_is_not_there(studied):
    with pytest.raises(InputError, match=r"no image .dragon\.jpg."):
        with_modifications(studied, "dragon.jpg")


# ── groups ───────────────────────────────────────────────────────────────────────────────────────


def similarities_of(searcher, first, second):
    """Between two groups of ids, each pair of different images once."""
    pairs = (
        itertools.combinations(first, 2) if first == second else itertools.product(first, second)
    )
    return [float(searcher.vector(a) @ searcher.vector(b)) for a, b in pairs]


def test_each_pair_of_groups_has_its_mean_and_quantiles(searcher, monkeypatch):
    monkeypatch.setattr(grouping, "_BLOCK", 7)
    found = group_matrix(searcher, of_labels(searcher, ()))
    assert list(found.names) == sorted(searcher.labels) and set(found.sizes) == {4}
    members = {name: [i for i in searcher.ids if i.startswith(f"{name}/")] for name in found.names}
    for i, j in ((0, 0), (0, 1), (3, 8), (8, 3), (9, 9)):
        values = similarities_of(searcher, members[found.names[i]], members[found.names[j]])
        assert found.mean[i, j] == pytest.approx(np.mean(values), abs=1e-5)
        np.testing.assert_allclose(
            found.quantiles[:, i, j], np.quantile(values, QUANTILES), atol=1e-5
        )
    assert not found.sampled and not found.clustered
    for name, example in zip(found.names, found.examples, strict=True):
        mean = np.mean([searcher.vector(i) for i in members[name]], axis=0)
        assert example == max(members[name], key=lambda i: float(searcher.vector(i) @ mean))


def test_large_groups_are_sampled_for_quantiles_and_counted_whole_for_the_mean(
    searcher, monkeypatch
):
    chosen = of_labels(searcher, ())
    whole = group_matrix(searcher, chosen)
    monkeypatch.setattr(grouping, "_SAMPLE", 20)
    monkeypatch.setattr(grouping, "_LEAST", 2)
    found, again = (group_matrix(searcher, chosen, seed=3) for _ in range(2))
    assert found.sampled
    np.testing.assert_array_equal(found.mean, whole.mean)
    np.testing.assert_array_equal(found.quantiles, again.quantiles)
    assert (found.quantiles != whole.quantiles).any()


def test_a_group_of_one_has_no_similarity_to_itself(searcher):
    chosen = of_images(searcher, [searcher.ids[0], *searcher.ids[4:8]])
    found = group_matrix(searcher, chosen)
    single = found.sizes.index(1)
    assert (
        np.isnan(found.mean[single, single]) and np.isnan(found.quantiles[:, single, single]).all()
    )
    assert np.isfinite(found.mean[single, 1 - single])


def test_groups_in_the_order_of_a_clustering_keep_their_numbers(searcher):
    chosen = of_labels(searcher, ())
    plain, found = (group_matrix(searcher, chosen, order=order) for order in ("label", "cluster"))
    rows = [plain.names.index(name) for name in found.names]
    assert rows != sorted(rows)
    np.testing.assert_array_equal(found.mean, plain.mean[np.ix_(rows, rows)])
    assert found.tree.shape == (9, 4, 2)


def test_images_without_labels_are_clustered(searcher):
    chosen = Chosen(tuple(searcher.ids), ("",) * 40)
    found = group_matrix(searcher, chosen, seed=1)
    assert found.clustered and sum(found.sizes) == 40 and len(found.names) > 4
    within = np.nanmean(np.diag(found.mean))
    between = found.mean[~np.eye(len(found.names), dtype=bool)].mean()
    assert within > between
    assert found.names == group_matrix(searcher, chosen, seed=1).names


def test_groups_of_fewer_than_two_images(searcher):
    with pytest.raises(InputError, match="at least 2"):
        group_matrix(searcher, Chosen((), ()))
