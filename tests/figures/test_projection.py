"""The figures of a projection, from arrays."""

import json

import numpy as np
import pytest

from aina_core import figures
from aina_core.figures import projection_map, relative_distances

CATEGORIES = [("cat", 31), ("<b>dog</b>", 9)]


def drawn(figure):
    """The figure's traces by name, after it has gone to the browser as JSON."""
    json.loads(figure.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    return {trace.name: trace for trace in figure.data}


def places(trace, dims=2):
    return np.stack([trace[axis] for axis in "xyz"[:dims]], axis=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_traces_of_the_points_are_empty_and_say_what_belongs_in_them(dims):
    figure = projection_map(45, dims, categories=CATEGORIES, others=5)
    to_fill = [trace for trace in figure.data if trace.meta]
    assert [trace.meta["code"] for trace in to_fill] == [255, 0, 1]
    assert all(places(trace, dims).shape == (0, dims) for trace in to_fill)
    assert [trace.name for trace in to_fill] == [
        "other (5)",
        "cat (31)",
        "&lt;b&gt;dog&lt;/b&gt; (9)",
    ]
    assert len({trace.marker.color for trace in to_fill}) == 3
    assert to_fill[0].marker.color == figures.REST


def test_no_trace_for_others_when_there_are_none():
    assert len(projection_map(40, categories=CATEGORIES).data) == 2


def test_without_categories_all_points_are_of_one_colour_or_by_similarity():
    (trace,) = projection_map(3).data
    assert trace.meta == {"code": None} and trace.marker.color == figures.REST
    (trace,) = projection_map(3, scale=(0.1, 0.8), categories=CATEGORIES).data
    assert trace.meta == {"code": None, "similarity": True} and trace.marker.colorscale
    assert (trace.marker.cmin, trace.marker.cmax) == (0.1, 0.8)


def test_points_and_neighbours_have_one_scale():
    args = {"query": np.zeros(2), "near": np.ones((2, 2)), "similarities": np.array([0.7, 0.3])}
    neighbours = drawn(projection_map(9, scale=(0.1, 0.8), **args))["neighbours"].marker
    assert (neighbours.cmin, neighbours.cmax) == (0.1, 0.8)
    neighbours = drawn(projection_map(9, **args))["neighbours"].marker
    assert (neighbours.cmin, neighbours.cmax) == (0.3, 0.7)


def test_no_category_has_the_colour_of_the_query_or_of_a_dark_screen():
    figure = projection_map(80, categories=[(str(i), 10) for i in range(8)])
    colours = {trace.marker.color for trace in figure.data}
    assert len(colours) == 8 and not colours & {figures.QUERY, "#000000", figures.REST}


@pytest.mark.parametrize("dims", [2, 3])
def test_the_query_is_marked_and_linked_to_its_neighbours(dims):
    rng = np.random.default_rng(0)
    query, near = rng.random(dims), rng.random((20, dims))
    similarities = np.linspace(0.9, 0.3, 20)
    figure = projection_map(99, dims, query=query, near=near, similarities=similarities)
    traces = drawn(figure)
    np.testing.assert_array_equal(places(traces["query"], dims), query[None])
    assert traces["query"].marker.color == figures.QUERY
    np.testing.assert_array_equal(places(traces["neighbours"], dims), near)
    np.testing.assert_array_equal(traces["neighbours"].marker.color, similarities)

    lines = [trace for trace in figure.data if trace.mode == "lines"]
    ends = set()
    for line in lines:
        steps = places(line, dims).reshape(-1, 3, dims)  # from, to, gap
        assert np.isnan(steps[:, 2]).all()
        assert (steps[:, 0] == query).all()
        ends |= {tuple(end) for end in steps[:, 1]}
    assert ends == {tuple(place) for place in near}
    assert len({line.line.color for line in lines}) == len(lines) > 3


def test_the_rest_recedes_only_behind_neighbours():
    alone = projection_map(99).data[0].marker.opacity
    args = {"near": np.ones((1, 2)), "similarities": np.ones(1)}
    assert projection_map(99, query=np.zeros(2), **args).data[0].marker.opacity < alone
    assert projection_map(99, query=np.zeros(2)).data[0].marker.opacity == alone


def test_a_single_neighbour_and_equal_similarities():
    for count in (1, 3):
        near = np.arange(2.0 * count).reshape(count, 2)
        equal = np.full(count, 0.5)
        traces = drawn(projection_map(9, query=np.zeros(2), near=near, similarities=equal))
        assert traces["neighbours"].marker.cmin < traces["neighbours"].marker.cmax
    assert "neighbours" not in drawn(projection_map(9, query=np.zeros(2), near=np.empty((0, 2))))


def test_many_points_are_small():
    sizes = [projection_map(count).data[0].marker.size for count in (10, 5_000, 50_000, 10**6)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4


# ── around the query ─────────────────────────────────────────────────────────────────────────────


def test_hits_stand_at_their_cosine_distance_in_their_direction_on_the_map():
    offsets = np.array([[3.0, 0.0], [0.0, -0.1], [-5.0, 5.0], [0.0, 0.0]])
    similarities = np.array([0.9, 0.5, -0.2, 1.0])
    hits = drawn(relative_distances(offsets, similarities))["hits"]
    distances = 1 - similarities
    root = np.sqrt(0.5)
    directions = np.array([[1, 0], [0, -1], [-root, root], [1, 0]])
    np.testing.assert_allclose(places(hits), distances[:, None] * directions, atol=1e-12)
    assert hits.customdata.tolist() == [0, 1, 2, 3]


def test_the_threshold_is_a_circle_in_sight():
    offsets, similarities = np.eye(2), np.array([0.95, 0.9])
    figure = relative_distances(offsets, similarities, threshold=0.7)
    circles = [s for s in figure.layout.shapes if s.line.color == figures.QUERY]
    assert len(circles) == 1
    assert circles[0].x1 == circles[0].y1 == -circles[0].x0 == pytest.approx(0.3)
    assert figure.layout.xaxis.range[1] > 0.3
    without = relative_distances(offsets, similarities)
    assert not [s for s in without.layout.shapes if s.line.color == figures.QUERY]


@pytest.mark.parametrize("similarity", [1.0, 1.0000001, 0.999, 0.0, -1.0])
def test_one_hit_at_any_distance(similarity):
    figure = relative_distances(np.ones((1, 2)), np.array([similarity]), threshold=similarity)
    hits = drawn(figure)["hits"]
    low, high = figure.layout.xaxis.range
    assert low <= hits.x[0] <= high


def test_no_hits():
    assert len(drawn(relative_distances(np.empty((0, 2)), np.empty(0)))["hits"].x) == 0
