"""What the shared components accept from the browser, and what they send to it."""

import base64
import json
import math

import pytest
from streamlit.testing.v1 import AppTest

from aina_core.numbers import decimal_text, percentile_text
from ui.components import Card, Event, Pasted, clamp_box
from ui.components.cards import _drawn, decode_event
from ui.components.paste import MAX_BYTES, decode_pasted

JUNK = [None, "", 3, [], {}, {"id": 1, "action": "search"}, {"id": ["a"]}, {"action": "search"}]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (None, None),
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ([10.4, 20.6, 30.2, 40.1], (10, 21, 31, 40)),
        ((-5, -5, 20, 20), (0, 0, 15, 15)),
        ((90, 70, 50, 50), (90, 70, 10, 10)),
        ((98, 79, 1, 1), (92, 72, 8, 8)),
        ((500, 500, 10, 10), (92, 72, 8, 8)),
        ((50, 50, -20, -20), (50, 50, 8, 8)),
        ((0, 0, 100, 80), None),
        ((-1, -1, 1000, 1000), None),
        ((math.nan, 0, 10, 10), None),
        ((math.inf, 0, 10, 10), None),
        ((1, 2, 3), None),
        ("abcd", None),
        ({"x": 1}, None),
        (7, None),
    ],
)
def test_a_box_is_whole_pixels_inside_the_image_or_none(box, expected):
    assert clamp_box(box, 100, 80) == expected


def test_a_box_stays_inside_every_image():
    values = (-9, 0, 0.5, 3, 7.6, 50, 1e9)
    for width, height in [(1, 1), (5, 300), (8, 8), (9, 100)]:
        for raw in [(x, y, w, h) for x in values for y in values for w in values for h in values]:
            if (box := clamp_box(raw, width, height)) is None:
                continue
            x, y, w, h = box
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
            assert w >= min(8, width)
            assert h >= min(8, height)
            assert clamp_box(box, width, height) == box


@pytest.mark.parametrize("value", [*JUNK, {"id": "b", "action": "x"}, {"id": "z", "action": "go"}])
def test_an_event_that_names_nothing_shown_is_none(value):
    assert decode_event(value, {"a", "b"}, {"go"}) is None


def test_an_event_names_card_and_action():
    odd = 'a "b" <i>.jpg'
    assert decode_event({"id": odd, "action": "go"}, {odd}, {"go"}) == Event(odd, "go")


@pytest.mark.parametrize(
    ("similarity", "text"),
    [
        (0.9341, "0.934"),
        (1.0, "1.000"),
        (0.99999, "1.000"),
        (0, "0.000"),
        (-0.12, "−0.120"),
        (-1e-9, "0.000"),
    ],
)
def test_similarity_text(similarity, text):
    assert decimal_text(similarity) == text


@pytest.mark.parametrize(
    ("percentile", "text"), [(0.998, "99.8%"), (0.99999, "99.9%"), (1.0, "100%"), (0.0, "0.0%")]
)
def test_percentile_text_never_rounds_up_to_certainty(percentile, text):
    assert percentile_text(percentile) == f"nearer than {text} of pairs"


def test_what_a_card_sends_is_json_and_its_bar_stays_in_the_box():
    for similarity in (math.nan, math.inf, -0.5, 1.0000001, None):
        drawn = _drawn(Card("a\udcff.jpg", "/t/1", similarity=similarity, percentile=math.nan))
        assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
        assert 0 <= drawn.get("bar", 0) <= 1
        assert "percentile" not in drawn


def test_pasted_bytes_arrive_whole():
    encoded = base64.b64encode(b"\x89PNG rest").decode()
    pasted = decode_pasted({"name": "a.png", "mime": "image/png", "base64": encoded})
    assert pasted == Pasted("a.png", b"\x89PNG rest")


@pytest.mark.parametrize(
    "value",
    [
        *JUNK,
        {"name": "a"},
        {"name": "a", "base64": 3},
        {"name": "a", "base64": ""},
        {"name": "a", "base64": "no base64!"},
        {"name": "a", "base64": "YWJ"},
        {"name": "a", "base64": "é"},
        {"name": None, "base64": "YWJj"},
    ],
)
def test_a_damaged_paste_is_none(value):
    assert decode_pasted(value) is None


def test_an_oversized_paste_is_none():
    encoded = base64.b64encode(bytes(MAX_BYTES + 1)).decode()
    assert decode_pasted({"name": "a", "base64": encoded}) is None


def page():
    import streamlit as st

    from ui.components import Card, cards, cropper, paste_zone

    state = st.session_state
    state.setdefault("box", (1, 2, 30, 40))
    state.setdefault("url", "/image/1")
    state.box = cropper(state.url, width=100, height=80, box=state.box, key="crop")
    event = cards([Card("a", "/t/1")], actions=[("go", "Go", "→")], key="grid")
    st.text(f"{state.box} {event} {paste_zone('paste')}")


def gesture(number, box, url="/image/1"):
    return {"gesture": {"number": number, "url": url, "box": box}}


def shown(app):
    assert not app.exception
    return app.text[0].value


def test_a_gesture_counts_once_and_then_the_pages_box_wins():
    app = AppTest.from_function(page).run()
    assert shown(app) == "(1, 2, 30, 40) None None"

    app.session_state["crop"] = gesture("s:1", [5, 5, 20, 20])
    assert shown(app.run()).startswith("(5, 5, 20, 20)")
    app.session_state["box"] = None
    assert shown(app.run()).startswith("None")

    app.session_state["crop"] = gesture("s:2", [9, 9, 20, 20])
    assert shown(app.run()).startswith("(9, 9, 20, 20)")
    app.session_state["crop"] = gesture("s:3", None)
    assert shown(app.run()).startswith("None")


def test_a_gesture_on_the_picture_before_is_dropped():
    app = AppTest.from_function(page).run()
    app.session_state["url"] = "/image/2"
    app.session_state["crop"] = gesture("s:1", [5, 5, 20, 20])
    assert shown(app.run()).startswith("(1, 2, 30, 40)")


@pytest.mark.parametrize("value", ["junk", [1], {"number": "s:1"}, {"number": ["x"], "box": "y"}])
def test_a_malformed_gesture_harms_nothing(value):
    app = AppTest.from_function(page).run()
    app.session_state["crop"] = {"gesture": value}
    assert shown(app.run()).startswith("(1, 2, 30, 40)")
