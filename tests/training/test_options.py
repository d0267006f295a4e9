"""An option of training is one row: read by the command line, the page, the check and the store."""

import json

import pytest

from aina_core.errors import InputError
from aina_core.training import models, settle, train
from aina_core.training.command import arguments
from aina_core.training.options import OPTIONS, Option
from aina_core.training.settings import Settings
from tests.support.app import App
from tests.support.process import refused
from tests.support.trainings import small


@pytest.fixture
def added():
    """An option that exists only while it is tested."""
    option = Option(
        name="warm_up",
        type=int,
        label="Warm-up",
        text="how many steps the learning rate rises for",
        usual=10,
        high=500,
        kinds=("siamese", "adapter"),
        needs=lambda chosen: chosen.loss == "infonce",
        taker="of the loss infonce",
    )
    OPTIONS.append(option)
    yield option
    OPTIONS.remove(option)


def test_a_row_is_all_that_an_option_takes(searcher, aina, monkeypatch, added):
    told = " ".join(aina("train", "adapter", "--help").out.split())
    assert "--warm-up WARM_UP how many steps the learning rate rises for; default: 10" in told
    assert "warm-up" not in aina("train", "vae", "--help").out
    words = ("train", "adapter", "--gallery", "photos", "--model", "tiny", "--name", "mine")
    assert "The warm up is 501; give 0 to 500." in refused(aina(*words, "--warm-up", 501))
    said = refused(aina(*words, "--loss", "supcon", "--warm-up", 3))
    assert "--warm-up is of the loss infonce, which this training has not" in said

    started = []
    monkeypatch.setattr("aina_core.jobs.start", lambda title, words: started.append(words))
    app = App("train", gallery="photos", model="tiny")
    field = app.widget("number_input", "train.warm_up.adapter")
    assert (field.label, field.placeholder) == ("Warm-up", "10 (usual)")
    assert field.help == "How many steps the learning rate rises for."
    app.set("number_input", "train.warm_up.adapter", 20)
    app.click("Train")
    assert started[0][started[0].index("--warm-up") + 1] == "20"

    settings = small("adapter", "mine", model="tiny", warm_up=30, epochs=1)
    train(settings)
    assert models()[0][0].settings == settings and settings.warm_up == 30
    assert list(settings.as_dict().items())[-1] == ("warm_up", 30)


def test_what_was_stored_before_an_option_was_there_is_as_usual(searcher, request, tmp_path):
    stored = json.dumps(small("siamese", "mine", loss="infonce").as_dict())
    request.getfixturevalue("added")
    found = Settings.from_dict(json.loads(stored), tmp_path)
    assert found.warm_up == 10 and found == small("siamese", "mine", loss="infonce")
    assert arguments(found)[-2:] == ["--warm-up", "10"]


def test_settings_are_stored_in_the_order_of_earlier_versions(searcher):
    names = (
        "kind gallery name model positives pairs changes hold_out loss mining margin temperature "
        "head head_dim shrinkage trunk combine side dim epochs patience groups members rate decay "
        "originals judged test_share seed"
    )
    assert " ".join(small("vae", "mine").as_dict()) == names


def test_no_option_of_an_unknown_name(searcher):
    with pytest.raises(TypeError, match="'speed'"):
        settle("vae", "photos", "mine", speed=3)
    with pytest.raises(AttributeError, match="'speed'"):
        small("vae", "mine").speed  # noqa: B018


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_what_is_usual_is_allowed_and_what_is_not_is_refused(searcher, option):
    for kind in option.kinds:
        settings = small(kind, "x", **({"model": "tiny"} if kind == "adapter" else {}))
        usual = option.usual_of(settings)
        assert option.fits(usual)
        if option.applies(settings) and usual is not None:
            option.check(usual)
    for wrong in ("smell",) if option.type is str else (option.low - 1, float("nan")):
        with pytest.raises(InputError, match=r"no .* 'smell'; choose from|; give "):
            option.check(wrong)
