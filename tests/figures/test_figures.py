"""Figures from arrays."""

import json

import numpy as np
import pytest

from aina_core import figures
from aina_core.figures import similarity_histogram

NONE = np.array([], np.float32)


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return np.sort(rng.normal(0.6, 0.1, 5000).clip(-1, 1).astype(np.float32))[::-1]


def drawn(similarities, hits=NONE, baseline=NONE, threshold=None):
    """The figure as the browser gets it."""
    figure = similarity_histogram(similarities, hits, baseline=baseline, threshold=threshold)
    text = figure.to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    return figure


def trace(figure, name):
    return next((trace for trace in figure.data if trace.name == name), None)


def test_every_image_is_in_some_bar(values):
    assert sum(trace(drawn(values, values[:10], values), "this gallery").y) == 5000


def test_an_outlier_counts_in_the_first_bar_and_rounding_in_the_last(values):
    values = np.concatenate([[1.0000001], values, [-0.9]]).astype(np.float32)
    bars = trace(drawn(values), "this gallery")
    assert sum(bars.y) == len(values)
    assert bars.y[0] >= 1 and bars.y[-1] >= 1


def test_the_random_pairs_have_the_same_area(values):
    figure = drawn(values, baseline=values[:1000])
    assert sum(trace(figure, "random pairs").y) == pytest.approx(5000)
    assert trace(drawn(values), "random pairs") is None


def test_the_hits_are_marked_and_at_most_300_of_them(values):
    marks = trace(drawn(values, values[:400]), "shown below")
    np.testing.assert_array_equal(marks.x, values[:300])
    assert marks.marker.line.color == figures.HIT
    assert len(trace(drawn(values), "shown below").x) == 0


def test_the_threshold_is_a_line_in_sight(values):
    assert not drawn(values).layout.shapes
    for threshold in (0.71, -0.2):
        figure = drawn(values, values[:9], threshold=threshold)
        (line,) = figure.layout.shapes
        assert line.x0 == line.x1 == threshold
        assert line.line.color == figures.QUERY
        left, right = figure.layout.xaxis.range
        assert left <= threshold <= right


def test_marked_hits_are_in_sight_too(values):
    values = np.append(values, np.float32(-0.9))
    figure = drawn(values, values[-3:])
    assert figure.layout.xaxis.range[0] <= values[-1]


@pytest.mark.parametrize("value", [1.0, 0.93, 0.0, -1.0])
def test_constant_similarities(value):
    constant = np.full(7, value, np.float32)
    bars = trace(drawn(constant, constant, constant, value), "this gallery")
    assert sum(bars.y) == 7
    assert bars.width > 0


def test_nothing_at_all():
    assert sum(trace(drawn(NONE), "this gallery").y) == 0


def test_colours_that_colour_blind_eyes_tell_apart(values):
    figure = drawn(values, values[:3], values, 0.5)
    assert trace(figure, "this gallery").marker.color == figures.REST
    used = [figures.QUERY, figures.HIT, figures.REST, figures.BASELINE]
    assert len(set(used)) == 4
    assert figures.HIT == "#0072B2" and figures.QUERY == "#D55E00"  # Okabe and Ito's
