"""What a screen is given of a projection: codes, a sample first, selections, categories, groups."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from aina_core.errors import InputError, UnknownNameError
from aina_core.projection import OTHER, Points, Projection, Settings, categorise, cluster
from aina_core.projection.points import MAX_CORNERS
from benchmarks.synthetic import clusters

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]


def projection(coordinates) -> Projection:
    """One of these coordinates, of images that nobody asks for."""
    points = np.asarray(coordinates, np.float32)
    ids = [str(row) for row in range(len(points))]
    settings = Settings("pca", dims=points.shape[1])
    return Projection(settings, ids, points, 1.0, 1.0, 0, 0, 0, 0.0, "", {}, points)


def scattered(count, dims=2, seed=0):
    return np.random.default_rng(seed).normal(3, 7, (count, dims)).astype(np.float32)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dims", [2, 3])
def test_two_bytes_a_coordinate_put_a_point_within_a_step(dims):
    points = Points(projection(scattered(500, dims)))
    codes = points.codes()
    assert codes.dtype == "<u2" and codes.shape == (500, dims)
    assert codes.min() == 0 and codes.max() == 65_535
    back = points.low + codes / 65_535 * points.span
    assert (np.abs(back - points.coordinates) <= points.span / 65_535).all()


def test_points_of_images_that_cannot_be_found_are_left_out():
    coordinates, shown = scattered(100), np.arange(100) % 3 > 0
    points = Points(projection(coordinates), shown)
    assert sorted(points.rows) == np.flatnonzero(shown).tolist()
    np.testing.assert_array_equal(points.coordinates, coordinates[points.rows])
    assert all(points.rows[place] == row for row, place in points.place_of.items())
    assert len(points.place_of) == len(points) == shown.sum()


def test_the_first_points_are_a_random_sample_and_the_same_one_each_time():
    rows = Points(projection(np.zeros((10_000, 2)))).rows
    again = Points(projection(np.ones((10_000, 2)))).rows
    np.testing.assert_array_equal(rows, again)
    assert np.histogram(rows[:1000], bins=10, range=(0, 10_000))[0].min() > 60


@pytest.mark.parametrize("coordinates", [np.empty((0, 2)), [[2, 3]], [[1, 1], [1, 1]]])
def test_few_or_equal_points_have_codes_too(coordinates):
    points = Points(projection(coordinates))
    assert (points.codes() == 0).all() and (points.span == 1).all()
    assert np.isfinite(points.low).all()


# ── selections ───────────────────────────────────────────────────────────────────────────────────


def is_inside(x, y, corners):
    """Whether a ray to the right crosses the line an odd number of times, in exact numbers."""
    crossings = 0
    for (x1, y1), (x2, y2) in itertools.pairwise([*corners, corners[0]]):
        if (y1 > y) != (y2 > y):
            slope = (Fraction(x2) - Fraction(x1)) / (Fraction(y2) - Fraction(y1))
            crossings += Fraction(x) < slope * (Fraction(y) - Fraction(y1)) + Fraction(x1)
    return crossings % 2 == 1


@pytest.mark.parametrize("corners", [3, 4, 7, 40])
def test_a_lasso_finds_what_a_plain_loop_finds(corners):
    points = Points(projection(scattered(400)))
    line = [tuple(corner) for corner in scattered(corners, seed=corners).tolist()]  # crosses itself
    expected = [is_inside(x, y, line) for x, y in points.coordinates.tolist()]
    assert points.inside(line).tolist() == expected
    assert points.inside(line[::-1]).tolist() == expected
    assert 0 < sum(expected) < 400


def test_points_at_the_height_of_a_corner_count_once():
    grid = np.array(list(itertools.product(np.linspace(0, 1, 9), repeat=2)))
    points = Points(projection(grid))
    diamond = [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)]
    for line in (SQUARE, diamond, [*diamond, diamond[0]]):
        expected = [is_inside(x, y, line) for x, y in points.coordinates.tolist()]
        assert points.inside(line).tolist() == expected and any(expected)


def test_a_lasso_in_space_sees_the_first_two_coordinates():
    flat, deep = scattered(50), scattered(50, 3)
    deep[:, :2] = flat
    line = [(-10, -10), (5, -10), (5, 5)]
    found = Points(projection(deep)).inside(line)
    np.testing.assert_array_equal(found, Points(projection(flat)).inside(line))


@pytest.mark.parametrize(
    "corners",
    [[], SQUARE[:2], SQUARE * (MAX_CORNERS // 4 + 1), [(0, 0, 0)] * 3, [(0, np.nan), *SQUARE]],
)
def test_what_is_no_line_is_refused(corners):
    with pytest.raises(InputError, match="selection"):
        Points(projection(scattered(5))).inside(corners)


# ── categories ───────────────────────────────────────────────────────────────────────────────────


def test_the_largest_categories_get_codes_and_the_rest_is_counted():
    values = ["cat"] * 5 + ["<b>dog</b>"] * 7 + ["ant", "bee", ""] + ["emu"] * 5
    found = categorise(values, most=3)
    assert found.names == ("<b>dog</b>", "cat", "emu") and found.counts == (7, 5, 5)
    assert found.others == 3
    assert found.codes.dtype == np.uint8
    assert [OTHER if code == OTHER else found.names[code] for code in found.codes] == [
        value if value in found.names else OTHER for value in values
    ]


@pytest.mark.parametrize("values", [[], [""], ["", ""]])
def test_no_categories_at_all(values):
    found = categorise(values)
    assert found.names == found.counts == () and found.others == len(values)
    assert found.codes.tolist() == [OTHER] * len(values)


# ── groups that nobody has labelled ──────────────────────────────────────────────────────────────

VECTORS, GROUPS = clusters(400, 24, groups=4, spread=0.1)
ISLANDS = np.eye(4, 2)[GROUPS] * 40 + GROUPS[:, None] * 7 + scattered(400) / 30


def agree(first, second):
    """Whether two groupings are the same but for the numbers."""
    pairs = set(zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def test_k_means_finds_the_groups_of_the_vectors_and_hdbscan_those_of_the_map():
    shuffled = np.random.default_rng(1).permutation(GROUPS)
    islands = np.eye(4, 2)[shuffled] * 40 + shuffled[:, None] * 7 + scattered(400) / 30
    assert agree(cluster("k-means", VECTORS, islands, count=4), GROUPS)
    assert agree(cluster("HDBSCAN", VECTORS, islands, count=4), shuffled)


@pytest.mark.parametrize("method", ["k-means", "HDBSCAN"])
def test_groups_are_numbered_by_size_and_the_same_each_time(method):
    found = cluster(method, VECTORS, ISLANDS, count=4)
    sizes = np.bincount(found[found >= 0])
    assert (np.diff(sizes) <= 0).all() and sizes[0] > 0
    np.testing.assert_array_equal(found, cluster(method, VECTORS, ISLANDS, count=4))


@pytest.mark.parametrize("method", ["k-means", "HDBSCAN"])
def test_images_beyond_the_sample_join_the_groups(method, monkeypatch):
    monkeypatch.setattr("aina_core.projection.clusters._FIT_ROWS", 100)
    found = cluster(method, VECTORS, ISLANDS, count=4)
    chosen = found >= 0
    assert chosen.mean() > 0.95 and agree(found[chosen], GROUPS[chosen])


@pytest.mark.parametrize("method", ["k-means", "HDBSCAN"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_the_smallest_galleries_have_groups_too(method, count):
    found = cluster(method, VECTORS[:count], ISLANDS[:count])
    assert found.shape == (count,) and found.dtype == np.int64


def test_equal_images_are_one_group():
    same = np.repeat(VECTORS[:1], 30, axis=0)
    assert set(cluster("k-means", same, ISLANDS[:30]).tolist()) == {0}


def test_what_cannot_be_grouped_so_is_refused():
    with pytest.raises(UnknownNameError, match="HDBSCAN"):
        cluster("ward", VECTORS, ISLANDS)
    for count in (1, 51):
        with pytest.raises(InputError, match="2 to 50"):
            cluster("k-means", VECTORS, ISLANDS, count=count)
