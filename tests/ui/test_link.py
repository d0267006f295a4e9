"""The state in the URL: what a link says is checked like anything that comes from outside."""

import math
import random

import pytest

from aina_core import models
from aina_core.gallery import create
from ui.link import MAX_K, MAX_SETTINGS, State, from_params, to_params

ODD = [
    "Käfer 北京",
    "a=b&c=d",
    "=",
    "a%3Db%",
    "x/y z.jpg",
    "<b>",
    "+",
    "",
    " ",
    "#?",
    "\u202e",
    "'",
]


@pytest.fixture
def gallery(home):
    create("demo", None)
    create("Käfer 1.2-x", None)
    return "Käfer 1.2-x"


def read(**params):
    """The state of a link to the gallery `demo`, and what was wrong with it."""
    params = {"gallery": "demo", **params}
    return from_params({k: [v] if isinstance(v, str) else v for k, v in params.items()})


def test_the_default_comes_back(gallery):
    for state in (State(gallery="demo"), State(gallery=gallery, model=f"{models.DEFAULT}@fast")):
        assert from_params(to_params(state)) == (state, [])


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_come_back(gallery, odd):
    state = State(
        gallery=gallery,
        image=odd,
        crop=(0, 1, 20, 30),
        k=7,
        threshold=-0.125,
        labels=(odd, "other", ""),
        columns={odd: (odd, "a=b"), "plain": ("", "x")},
        exact=True,
    )
    assert from_params(to_params(state)) == (state, [])
    state = State(gallery=gallery, upload=odd or "0")
    assert from_params(to_params(state)) == (state, [])


def test_what_is_as_by_default_stays_out_of_the_url():
    assert set(to_params(State(gallery="demo"))) == {"gallery", "model", "k"}


def test_an_uploaded_picture_wins_over_an_image(gallery):
    state, _ = read(image="a.jpg", upload="f" * 64)
    assert (state.image, state.upload) == (None, "f" * 64)


@pytest.mark.parametrize(("k", "expected"), [("0", 1), ("-5", 1), ("99999999", MAX_K), (" 7 ", 7)])
def test_k_is_held_between_its_limits(gallery, k, expected):
    state, problems = read(k=k)
    assert state.k == expected and not problems


@pytest.mark.parametrize(
    "params",
    [
        *({"threshold": text} for text in ("nan", "inf", "-inf", "1.01", "-2", "x", "", "1e400")),
        *({"k": text} for text in ("x", "", "1e9", "1.5", "nan", "9" * 5000)),
        *(
            {"crop": text}
            for text in (
                "",
                "1,2,3",
                "1,2,3,4,5",
                "a,b,c,d",
                "0,0,0,5",
                "0,0,5,-1",
                "-1,0,5,5",
                "1.5,0,5,5",
                "nan,0,5,5",
                "0,0,5," + "9" * 12,
                "0,0,5," + "9" * 400,
                "0,0,5," + "9" * 5000,
            )
        ),
    ],
)
def test_what_cannot_be_read_costs_one_sentence_and_the_defaults(gallery, params):
    state, problems = read(image="a.jpg", **params)
    assert state == State(gallery="demo", image="a.jpg")
    assert len(problems) == 1 and problems[0].endswith(".")


def test_a_gallery_or_model_that_is_not_here_is_said(gallery):
    state, problems = from_params({"gallery": ["none"], "model": ["none"], "image": ["a.jpg"]})
    assert state == State(gallery="demo")
    assert len(problems) == 2


def test_a_home_without_galleries(home):
    assert from_params({}) == (State(gallery=""), [])


def test_garbage_never_raises(gallery):
    names = ["gallery", "model", "image", "upload", "crop", "k", "threshold", "label", "where", "x"]
    values = [*ODD, "demo", "demo\n", "..", "@", f"{models.DEFAULT}@", "1", "1,1,9,9", "\0"]
    chance = random.Random(0)
    for _ in range(2000):
        params = {
            name: chance.choices(values, k=chance.randrange(3))
            for name in chance.sample(names, chance.randrange(len(names)))
        }
        state, problems = from_params(params)
        assert all(isinstance(problem, str) for problem in problems)
        assert 1 <= state.k <= MAX_K
        assert state.threshold is None or math.isfinite(state.threshold)
        again, none = from_params(to_params(state))
        assert (again, none) == (state, [])


def test_further_models_the_reference_and_page_settings_come_back(gallery):
    state = State(
        gallery="demo",
        others=("efficientnet-lite1", "efficientnet-lite2@fast"),
        reference="a/b ö.jpg",
        view={"map.method": "umap", "heatmap.order": "cluster"},
    )
    assert from_params(to_params(state)) == (state, [])


def test_unknown_further_models_are_named_and_too_many_settings_left_out(gallery):
    state, problems = read(
        other=["efficientnet-lite1", "nonsense"], **{f"map.{i}": "x" for i in range(99)}
    )
    assert state.others == ("efficientnet-lite1",) and len(state.view) == MAX_SETTINGS
    assert "nonsense" in problems[0]
