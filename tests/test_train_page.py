"""The Train page: without a gallery, without and with trained models; pairs on the Search page."""

import pytest
import streamlit as st
from test_pages import SEARCH, App
from trainings import small

from aina_core.embedding import load_embedder
from aina_core.gallery import open_gallery, update
from aina_core.locks import alone
from aina_core.training import models, train, unfinished
from aina_core.training.checkpoints import Checkpoint

TRAIN = "pages/build/train.py"


@pytest.fixture
def started(monkeypatch):
    """The jobs that pages start, which are only written down."""
    from aina_core import work

    found = []
    monkeypatch.setattr(work, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


def visit(**link):
    st.cache_resource.clear()
    st.cache_data.clear()
    return App(TRAIN, gallery="photos", model="tiny", **link)


def frames(app):
    return [frame.value for frame in app.test.dataframe]


def test_a_home_without_galleries(home):
    assert any("There is no gallery yet" in text for text in App(TRAIN).said("info"))


def test_nothing_was_trained_yet(searcher, started):
    app = visit()
    assert any("No model was trained here yet" in text for text in app.said("info"))
    button = next(button for button in app.test.main.button if button.label == "Train")
    assert button.disabled, "a model needs a name"
    app.set("text_input", "train.name", "mine")
    app.set("selectbox", "train.base.adapter", "tiny")
    app.click("Train")
    words = started[0]
    assert words[:6] == ["train", "adapter", "--gallery", "photos", "--name", "mine"]
    assert words[words.index("--model") + 1] == "tiny"
    assert words[words.index("--positives") + 1] == "modifications"


def test_what_cannot_be_is_said_and_starts_nothing(searcher, started):
    app = visit()
    app.set("text_input", "train.name", "not/a name")
    app.click("Train")
    assert any("cannot name a model" in text for text in app.said("error")) and not started


def test_what_was_trained_is_shown(searcher):
    train(small("adapter", "mine", model="tiny", hold_out=("mirrored",)))
    app = visit()
    first, second = frames(app)[:2]
    assert "precision@5" in set(first["figure"]) and "auc" in set(second["figure"])
    assert "precision@5" in set(second["figure"])
    assert any("is not indexed by mine yet" in text for text in app.said("info"))
    app.click("Delete this model")
    assert any("No model was trained here yet" in text for text in app.said("info"))
    assert models() == ([], {})


def test_a_variational_autoencoder_shows_what_it_makes(searcher):
    train(small("vae", "auto"))
    app = visit(**{"train.model": "auto"})
    assert [x.value for x in app.test.subheader] == [
        "What it sees, and what it makes of that",
        "From one image to another",
        "Drawn at random",
    ]
    assert not app.said("error")


def test_a_link_to_a_model_that_is_gone(searcher):
    train(small("siamese", "mine"))
    app = visit(**{"train.model": "other", "train.kind": "nonsense"})
    assert any("'other'" in text for text in app.said("warning"))


def test_a_training_that_was_stopped_is_shown(searcher):
    checkpoint = Checkpoint(small("siamese", "halves"))
    with alone(checkpoint.folder, "testing"):
        checkpoint.begin("key")
    assert [one.name for one in unfinished()] == ["halves"]
    app = visit()
    assert any("was not trained to the end" in x.value for x in app.test.markdown)


def test_hits_in_the_order_of_a_head_for_pairs(searcher):
    train(small("siamese-dense", "dense", model="tiny", epochs=3))
    update(open_gallery("photos"), load_embedder("dense", device="cpu", runtime="torch"))
    st.cache_resource.clear()
    link = {"gallery": "photos", "image": searcher.ids[0], "k": "9"}
    plain = App(SEARCH, model="dense", **link)
    switched = plain.test.toggle(key="aina.search.pairs")
    before = plain.hits
    switched.set_value(True)
    plain.run()
    assert set(plain.hits) == set(before)
    notes = [card["note"] for card in plain.component("hits")["cards"]]
    assert all(note.startswith("of one kind: ") for note in notes)
    shares = [int(note.split()[-1].rstrip("%")) for note in notes]
    assert shares == sorted(shares, reverse=True)
    other = App(SEARCH, model="tiny", **link)
    assert not [toggle for toggle in other.test.toggle if toggle.key == "aina.search.pairs"]
