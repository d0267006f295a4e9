"""What the figures' components accept from the browser and send to it; where the library is."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from ui import serve
from ui.components import Clicked, Cloud, Lassoed
from ui.components._mount import plotly_library
from ui.components.plot import decode_click, to_json
from ui.components.scatter import decode_click as decode_point
from ui.components.scatter import decode_lasso

JUNK = [None, "", 3, [], {}, {"pictures": None}, {"pictures": 1}, {"pictures": "0"}]
CLOUD = Cloud("/map/points?1", "/map/describe?1", 9, (0.0, 0.0), (1.0, 1.0))
CORNERS = [[0, 0], [1, 0.5], [0.25, 1]]


@pytest.mark.parametrize(("places", "expected"), [([0], (0,)), ([4, 0], (4, 0))])
def test_a_click_names_pictures_that_were_sent(places, expected):
    assert decode_click({"pictures": places}, 5) == expected


@pytest.mark.parametrize(
    "places", [[], [5], [-1], [0, 5], [0, 1, 2], [True], [1.0], ["1"], [None], [[0]]]
)
def test_a_click_that_names_none_of_them_is_none(places):
    assert decode_click({"pictures": places}, 5) is None


@pytest.mark.parametrize("value", JUNK)
def test_junk_is_no_event(value):
    assert decode_click(value, 5) is None
    assert decode_point(value, CLOUD) is None
    assert decode_lasso(value, CLOUD) is None


def test_a_click_and_a_lasso_on_the_points_that_are_shown():
    assert decode_point({"point": 8, "points": CLOUD.points}, CLOUD) == Clicked(8)
    found = decode_lasso({"corners": CORNERS, "points": CLOUD.points}, CLOUD)
    assert found == Lassoed(((0.0, 0.0), (1.0, 0.5), (0.25, 1.0)))


@pytest.mark.parametrize("point", [-1, 9, 1.0, True, "1", None, [1]])
def test_a_click_on_no_point_is_none(point):
    assert decode_point({"point": point, "points": CLOUD.points}, CLOUD) is None


@pytest.mark.parametrize(
    "corners",
    [
        None,
        CORNERS[:2],
        CORNERS * 2000,
        [*CORNERS, [1]],
        [*CORNERS, [1, 2, 3]],
        [*CORNERS, [float("nan"), 0]],
        [*CORNERS, [0, float("inf")]],
        [*CORNERS, ["x", 0]],
        [*CORNERS, [None, 0]],
        [*CORNERS, 7],
        [*CORNERS, [10**400, 0]],
    ],
)
def test_a_line_that_is_none_is_refused(corners):
    assert decode_lasso({"corners": corners, "points": CLOUD.points}, CLOUD) is None


def test_events_on_other_points_are_dropped():
    assert decode_point({"point": 1, "points": "/map/points?2"}, CLOUD) is None
    assert decode_lasso({"corners": CORNERS, "points": "/map/points?2"}, CLOUD) is None


def test_typed_arrays_stay_typed():
    codes = np.arange(6, dtype=np.uint8).reshape(2, 3)
    sent = json.loads(to_json(go.Figure(go.Heatmap(z=codes)).to_dict()))["data"][0]["z"]
    assert sent["dtype"] == "u1" and sent["shape"] == "2, 3"


def page():
    import numpy as np
    import plotly.graph_objects as go
    import streamlit as st

    from ui.components import Picture, plot

    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], customdata=np.arange(2)))
    pictures = [Picture("<b>a</b>", "/t/1"), Picture("b", "/t/2", "label", "text")]
    st.text(plot(figure, key="plot", name="two", pictures=pictures))


def test_a_figure_is_sent_with_its_pictures_and_answers_a_click():
    app = AppTest.from_function(page).run()
    (sent,) = (json.loads(x.proto.json) for x in app.get("bidi_component"))
    assert [picture["id"] for picture in sent["pictures"]] == ["<b>a</b>", "b"]
    assert "template" not in json.loads(sent["figure"])["layout"]
    assert app.text[0].value == "None"
    app.session_state["plot"] = {"click": {"pictures": [1]}}
    assert app.run().text[0].value == "(1,)"
    app.session_state["plot"] = {"click": {"pictures": [2]}}
    assert app.run().text[0].value == "None"


def test_the_library_comes_from_here_and_can_be_kept():
    client = TestClient(Starlette(routes=serve.ROUTES))
    answer = client.get(plotly_library())
    assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert b"plotly.js v" in answer.content[:200]
    assert client.get("/library/plotly-0.0.0.min.js").status_code == 404
