"""The figure of how many neighbours models share."""

import json

import numpy as np
import pytest

from aina_core import figures
from aina_core.figures import agreement_bars


def test_bars_are_shares_of_all_images_and_say_the_counts():
    figure = agreement_bars({"a and b": np.array([1, 0, 3]), "a and c": np.array([2, 2, 0])})
    first, second = figure.data
    np.testing.assert_array_equal(first.x, [0, 1, 2])
    np.testing.assert_allclose(first.y, [25, 0, 75])
    np.testing.assert_allclose(second.y, [50, 50, 0])
    assert first.hovertext[2] == "2 shared: 3 images, 75.0%"
    assert [first.name, second.name] == ["a and b", "a and c"]
    assert figure.layout.xaxis.title.text == "shared of the 2 nearest"
    json.loads(figure.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_series_differ_in_more_than_their_colour():
    counts = {f"{n}": np.array([1, n]) for n in range(6)}
    figure = agreement_bars(counts)
    assert len({bar.marker.color for bar in figure.data}) == 6
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 6
    assert figure.layout.showlegend
    assert not agreement_bars({"one": np.array([1, 2])}).layout.showlegend


def test_what_is_shared_never_has_the_colour_of_the_query():
    assert figures.QUERY not in figures.SHARED and "#000000" not in figures.SHARED
    assert set(figures.SHARED) <= set(figures.CATEGORIES)
