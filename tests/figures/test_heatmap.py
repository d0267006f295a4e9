"""Heat maps and distributions as figures, from arrays."""

import base64
import itertools
import json

import numpy as np
import pytest

from aina_core import figures
from aina_core.figures import group_heatmap, similarity_distribution, similarity_heatmap
from aina_core.figures.heatmap import UNIT
from aina_core.figures.text import literal


def matrices(models=1, count=6, seed=0):
    values = np.random.default_rng(seed).uniform(0.2, 1, (models, count, count))
    values = (values + values.swapaxes(1, 2)) / 2
    values[:, range(count), range(count)] = 1
    return values.astype(np.float32)


def sent(figure):
    """The figure as the browser gets it: strict JSON."""
    return json.loads(
        figure.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )


def maps(figure):
    return [trace for trace in sent(figure)["data"] if trace["type"] == "heatmap"]


def decoded(block):
    shape = [int(n) for n in block["shape"].split(",")]
    return np.frombuffer(base64.b64decode(block["bdata"]), block["dtype"]).reshape(shape)


def test_every_cell_is_its_similarity_in_two_bytes():
    values = matrices()
    figure = similarity_heatmap(values, list("abcdef"))
    (drawn,) = maps(figure)
    assert drawn["z"]["dtype"] == "i2"
    np.testing.assert_allclose(decoded(drawn["z"]) * UNIT, values[0], atol=UNIT)
    assert drawn["meta"]["rows"] == drawn["meta"]["columns"] == [0, 1, 2, 3, 4, 5]
    assert drawn["meta"]["scale"] == UNIT


def test_two_thousand_images_are_small_enough_to_send():
    values = np.ones((1, 2000, 2000), np.float32)
    text = similarity_heatmap(values, [str(n) for n in range(2000)]).to_json()
    assert len(text) < 11_000_000


def test_models_share_a_scale_or_have_each_its_own():
    values = matrices(2)
    values[1] = 0.9 + values[1] * 0.1
    shared = sent(similarity_heatmap(values, list("abcdef"), titles=["a", "b"]))
    assert [t["coloraxis"] for t in shared["data"]] == ["coloraxis", "coloraxis"]
    assert shared["layout"]["coloraxis"]["cmin"] * UNIT <= values.min()
    assert "coloraxis2" not in shared["layout"]
    own = sent(similarity_heatmap(values, list("abcdef"), titles=["a", "b"], shared=False))
    lows = [own["layout"][name]["cmin"] * UNIT for name in ("coloraxis", "coloraxis2")]
    assert lows[0] <= values[0].min() < 0.9 <= lows[1] <= values[1].min()
    assert all(own["layout"][n]["cmax"] * UNIT == 1 for n in ("coloraxis", "coloraxis2"))


@pytest.mark.parametrize("models", [1, 2, 4])
def test_models_stand_side_by_side_without_overlap_and_move_together(models):
    tree = np.zeros((5, 4, 2), np.float32)
    layout = sent(
        similarity_heatmap(matrices(models), list("abcdef"), titles=["m"] * models, tree=tree)
    )["layout"]
    names = ["xaxis9", "xaxis", "xaxis2", "xaxis3", "xaxis4"][: models + 1]
    domains = [layout[name]["domain"] for name in names]
    assert domains == sorted(domains) and domains[-1][1] == pytest.approx(1)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(domains))
    assert all(layout[name]["matches"] == "x" for name in names[2:])
    assert all(layout[f"yaxis{n}"]["matches"] == "y" for n in range(2, models + 1))


def test_the_first_row_is_on_top_and_the_tree_beside_its_rows():
    tree = np.array([[[0, 0], [0, 0.4], [1, 0.4], [1, 0]]], np.float32)
    figure = similarity_heatmap(matrices(1, 2), ["a", "b"], tree=tree)
    assert list(figure.layout.yaxis.range) == [1.5, -0.5]
    (lines,) = [trace for trace in figure.data if trace.type == "scatter"]
    np.testing.assert_allclose(lines.y[:4], [0, 0, 1, 1])
    np.testing.assert_allclose(lines.x[:4], [0, 0.4, 0.4, 0])
    assert np.isnan(lines.x[4]) and (lines.yaxis or "y") == "y" and lines.xaxis == "x9"


def test_lines_stand_between_groups():
    figure = similarity_heatmap(matrices(), list("abcdef"), spans=[("u", 0, 2), ("v", 2, 6)])
    (lines,) = [trace for trace in figure.data if trace.type == "scatter"]
    np.testing.assert_allclose(lines.x[:2], [1.5, 1.5])
    np.testing.assert_allclose(lines.y[:2], [-0.5, 5.5])
    assert not [
        t for t in similarity_heatmap(matrices(), list("abcdef")).data if t.type != "heatmap"
    ]


def test_rows_are_named_where_there_is_room_else_groups():
    few = similarity_heatmap(matrices(), list("abcdef"), spans=[("u", 0, 2), ("v", 2, 6)])
    assert list(few.layout.yaxis.ticktext) == list("abcdef")
    many = matrices(count=50)
    names = [str(n) for n in range(50)]
    grouped = similarity_heatmap(many, names, spans=[("u", 0, 20), ("", 20, 50)])
    assert list(grouped.layout.yaxis.ticktext) == ["u", "no label"]
    assert list(grouped.layout.yaxis.tickvals) == [9.5, 34.5]
    assert not similarity_heatmap(many, names).layout.yaxis.ticktext


def test_names_are_drawn_as_text():
    figure = similarity_heatmap(matrices(), ['<a href="x">b</a>', *"bcdef"], titles=["<b>m</b>"])
    assert figure.layout.yaxis.ticktext[0].startswith("&lt;a href")
    assert list(figure.layout.xaxis.ticktext) == ["&lt;b&gt;m&lt;/b&gt;"]
    assert literal("a" * 50) == f"{'a' * 14}…{'a' * 13}"
    assert len(literal("x" * 28)) == 28


def test_groups_that_have_no_pair_are_a_gap():
    values = np.array([[np.nan, 0.3], [0.3, 0.6]], np.float32)
    figure = group_heatmap(values, ["<i>", ""])
    (drawn,) = maps(figure)
    np.testing.assert_array_equal(decoded(drawn["z"]), values)
    assert drawn["meta"] == {"rows": [0, 1], "columns": [0, 1], "scale": 1.0, "digits": 3}
    assert list(figure.layout.yaxis.ticktext) == ["&lt;i&gt;", "no label"]
    assert figure.layout.coloraxis.cmin == pytest.approx(0.3)


def test_scales_that_colour_blind_eyes_can_read():
    for figure in (
        similarity_heatmap(matrices(), list("abcdef")),
        group_heatmap(matrices()[0], list("abcdef")),
    ):
        scale = figure.layout.coloraxis.colorscale
        weights = np.array([0.2126, 0.7152, 0.0722])
        bright = [np.dot([int(c[i : i + 2], 16) for i in (1, 3, 5)], weights) for _, c in scale]
        assert bright == sorted(bright) and bright[-1] - bright[0] > 120


def test_each_kind_of_pairs_has_the_same_area():
    rng = np.random.default_rng(0)
    given = [rng.uniform(low, 1, n).astype(np.float32) for low, n in ((0.5, 40), (0.1, 900))]
    figure = similarity_distribution(*given, given[1], chosen=given[0][:5], marked=0.05)
    sent(figure)
    names = [trace.name for trace in figure.data]
    assert names == ["random pairs", "two labels", "one label", "this heat map"]
    assert all(sum(trace.y) == pytest.approx(1) for trace in figure.data)
    assert len({trace.line.color for trace in figure.data}) == 4
    assert figure.layout.xaxis.range[0] < 0.05 == figure.layout.shapes[0].x0
    assert figure.layout.shapes[0].line.color == figures.QUERY


def test_kinds_without_pairs_are_not_drawn():
    none = np.array([], np.float32)
    assert not sent(similarity_distribution(none, none, none))["data"]
    drawn = sent(similarity_distribution(none, none, np.array([0.4], np.float32)))["data"]
    assert [trace["name"] for trace in drawn] == ["random pairs"]
