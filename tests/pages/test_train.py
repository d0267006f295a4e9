"""The Train page: without a gallery, without and with trained models."""

import fcntl
import json
import time

import numpy as np
import pytest
import streamlit as st

from aina_core.embedding import load_embedder
from aina_core.errors import StoppedError, TrainingError
from aina_core.figures import training_curves
from aina_core.gallery import create, open_gallery, update
from aina_core.training import models, settle, train, unfinished
from aina_core.training.evaluation import table
from tests.support.app import App
from tests.support.trainings import small
from ui.navigation import PAGES

TRAIN = "train"


@pytest.fixture
def started(monkeypatch):
    """The jobs that pages start, which are only written down."""
    from aina_core import jobs

    found = []
    monkeypatch.setattr(jobs, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


@pytest.fixture
def job(home):
    """Writes down a job as a worker would; one that is active holds its lock."""
    held = []

    def write(words, *, active=False, status=None, message=""):
        folder = home / ".jobs" / f"{time.time_ns():x}-abcdef"
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps({"title": "Train", "arguments": words}))
        progress = {"phase": "training", "done": 3, "total": 8, "started": 1, "updated": 2}
        (folder / "progress.json").write_text(json.dumps(progress))
        if status is not None:
            result = {"status": status, "message": message}
            (folder / "result.json").write_text(json.dumps(result))
        lock = (folder / "lock").open("w")
        if active:
            fcntl.flock(lock, fcntl.LOCK_EX)
        held.append(lock)
        return folder

    yield write
    for lock in held:
        lock.close()


def visit(gallery="photos", **link):
    st.cache_resource.clear()
    return App(TRAIN, gallery=gallery, model="tiny", **link)


def frames(app):
    return [frame.value for frame in app.test.dataframe]


def button(app, label):
    return next(one for one in app.test.main.button if one.label == label)


def asked(app):
    """The settings in the expander, by their names, with what each says that it is as usual."""
    found = {}
    for kind in ("number_input", "selectbox"):
        for one in app.test.main.get(kind):
            words = one.key.split(".")
            if words[0] == "train" and words[1] not in ("base", "name", "sample"):
                found[words[1]] = one.placeholder
    return found


def cut_short(settings, epochs=1):
    """Train, and stop after some epochs."""
    ended = []

    def stop():
        return any(one.curves.epoch >= epochs for one in unfinished())

    with pytest.raises(StoppedError):
        train(settings, stop=lambda: ended.append(1) or stop())
    return unfinished()[0]


def test_a_home_without_galleries(home):
    assert any("There is no gallery yet" in text for text in App(TRAIN).said("info"))


def test_nothing_was_trained_yet(searcher, started):
    app = visit()
    assert any("No model was trained here yet" in text for text in app.said("info"))
    assert not button(app, "Train").disabled
    app.set("text_input", "train.name", "mine")
    app.click("Train")
    words = started[0]
    assert words[:6] == ["train", "adapter", "--gallery", "photos", "--name", "mine"]
    assert words[words.index("--model") + 1] == "tiny", "the one that is looked at"
    assert words[words.index("--positives") + 1] == "modifications"


def test_without_a_name_it_gets_one_that_is_free(searcher, started):
    train(small("siamese", "photos-siamese"))
    app = visit(**{"train.kind": "siamese"})
    app.click("Train")
    assert started[0][5] == "photos-siamese-2"


def test_what_cannot_be_is_said_and_starts_nothing(searcher, started):
    app = visit()
    app.set("text_input", "train.name", "not/a name")
    assert any("cannot name a model" in text for text in app.said("error"))
    assert button(app, "Train").disabled and not started
    app.set("text_input", "train.name", "")
    app.set("multiselect", "train.changes.adapter", ["mirrored"])
    assert not app.said("error")
    app.set("multiselect", "train.hold_out.adapter", ["mirrored"])
    assert any("Every change is held out" in text for text in app.said("error"))
    assert button(app, "Train").disabled


USUAL = {"epochs", "patience", "rate", "decay", "groups", "originals", "test_share", "judged"}
USUAL |= {"seed"}


@pytest.mark.parametrize(
    ("kind", "chosen", "also"),
    [
        ("adapter", {}, {"members", "head", "shrinkage", "loss", "temperature"}),
        (
            "adapter",
            {"positives": "labels"},
            {"members", "head", "head_dim", "loss", "temperature"},
        ),
        ("siamese", {}, {"members", "side", "dim", "loss", "margin"}),
        ("siamese", {"base": "tiny"}, {"members", "trunk", "head", "loss", "margin"}),
        ("siamese-dense", {}, {"members", "combine", "side", "dim"}),
        ("siamese-dense", {"base": "tiny"}, {"members", "combine", "trunk"}),
        ("triplet", {}, {"members", "side", "dim", "loss", "mining", "margin"}),
        ("autoencoder", {}, {"side", "dim"}),
        ("vae", {}, {"side", "dim"}),
        ("denoising", {}, {"side", "dim"}),
    ],
)
def test_only_settings_that_apply_are_asked_for(searcher, kind, chosen, also):
    app = visit(**{"train.kind": kind})
    keywords = {"model": "tiny"} if kind == "adapter" else {}
    if "positives" in chosen:
        app.set("button_group", f"train.positives.{kind}", chosen["positives"])
        keywords["positives"] = chosen["positives"]
    if "base" in chosen:
        app.set("selectbox", f"train.base.{kind}", "tiny")
        keywords["model"] = "tiny"
    found = asked(app)
    assert set(found) == USUAL | also
    usual = settle(kind, "photos", "new", **keywords)
    assert found["epochs"] == f"{usual.epochs} (usual)"
    assert found["rate"] == f"{usual.rate:g} (usual)"
    assert not app.said("error")


def test_one_choice_decides_what_the_next_can_be(searcher, started):
    app = visit(**{"train.kind": "triplet"})
    app.set("selectbox", "train.base.triplet", "tiny")
    head = "train.head.triplet.linear-residual-{}"
    offered = app.widget("selectbox", head.format("whitening")).options
    assert offered == ["linear", "residual", "whitening"]
    app.set("selectbox", "train.trunk.triplet.", "trained")
    offered = app.widget("selectbox", head.format("none")).options
    assert offered == ["linear", "residual", "none"]
    app.set("selectbox", head.format("none"), "linear")
    app.set("number_input", "train.head_dim.triplet", 32)
    app.set("selectbox", "train.loss.triplet.", "infonce")
    assert {"temperature", "head_dim"} <= set(asked(app)) and "mining" not in asked(app)
    app.set("number_input", "train.temperature.triplet", 0.2)
    app.set("number_input", "train.test_share.triplet", 0.4)
    app.click("Train")
    words = started[0]
    for name, value in (
        *(("trunk", "trained"), ("head", "linear"), ("head-dim", "32"), ("loss", "infonce")),
        *(("temperature", "0.2"), ("test-share", "0.4"), ("model", "tiny")),
    ):
        assert words[words.index(f"--{name}") + 1] == value


def test_what_random_augmentation_shows_is_not_offered_to_be_held_out(searcher):
    app = visit(**{"train.kind": "siamese"})
    offered = app.widget("multiselect", "train.hold_out.siamese.augmented").options
    assert "rotated/45" in offered and not {"mirrored", "cropped/center"} & set(offered)
    app.set("button_group", "train.positives.siamese", "modifications")
    assert "mirrored" in app.widget("multiselect", "train.hold_out.siamese").options


def test_a_gallery_that_is_too_small_or_has_no_labels_starts_nothing(searcher, photos, tmp_path):
    for image in sorted(photos.rglob("*.*"))[4:]:
        image.unlink()
    update(create("few", photos), load_embedder("tiny", device="cpu"))
    app = visit("few")
    assert any("too few to be split" in text for text in app.said("error"))
    assert button(app, "Train").disabled
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, image in enumerate(sorted(searcher.gallery.root.rglob("*.*"))):
        (flat / f"{number}{image.suffix}").write_bytes(image.read_bytes())
    update(create("flat", flat), load_embedder("tiny", device="cpu"))
    app = visit("flat")
    assert not app.said("error")
    app.set("button_group", "train.positives.adapter", "labels")
    assert any("more labelled images" in text for text in app.said("error"))
    assert button(app, "Train").disabled


def test_pairs_of_a_csv(searcher, started, aina):
    app = visit()
    app.set("button_group", "train.positives.adapter", "pairs")
    assert any("Choose the CSV of pairs first" in text for text in app.said("info"))
    assert button(app, "Train").disabled
    sent = app.test.file_uploader(key="train.pairs")
    sent.upload("pairs.csv", b"one,other\nastronaut/1.jpg,no-such.jpg\n", "text/csv")
    assert any("no-such.jpg" in text for text in app.run().said("error"))
    assert button(app, "Train").disabled
    ids = sorted(searcher.ids)  # four of each label
    pairs = [(ids[4 * (place // 4)], image) for place, image in enumerate(ids) if place % 4]
    lines = "".join(f"{first},{second}\n" for first, second in pairs)
    app.test.file_uploader(key="train.pairs").upload("pairs.csv", lines.encode(), "text/csv")
    assert not app.run().said("error")
    app.set("number_input", "train.epochs.adapter", 1)
    app.click("Train")
    assert aina(*started[0]).status == 0
    (model,), _ = models()
    assert model.settings.positives == "pairs" and model.settings.pairs == tuple(pairs)


def test_what_was_trained_is_shown(searcher):
    train(small("adapter", "mine", model="tiny", hold_out=("mirrored",)))
    app = visit()
    first, second = frames(app)[:2]
    assert "precision@5" in set(first["figure"]) and "auc" in set(second["figure"])
    assert set(first["verdict"]) <= {"better", "worse", "undecided"}
    assert any("is not indexed by mine yet" in text for text in app.said("info"))
    app.click("Delete this model")
    assert any("No model was trained here yet" in text for text in app.said("info"))
    assert models() == ([], {})


def test_a_dense_head_is_shown_by_its_own_ranking(searcher):
    """Over a frozen trunk no embedding changes: all gains of these are 0."""
    options = {"model": "tiny", "rate": 3e-3, "epochs": 6, "hold_out": ("mirrored",)}
    result = train(small("siamese-dense", "dense", **options))["result"]
    train(small("adapter", "other", model="tiny", epochs=1))
    app = visit(**{"train.model": "dense"})
    whole, *parts = frames(app)
    shown = [result, result["reranked"], result["unseen"], result["unseen"]["reranked"]]
    assert [table(part) for part in shown] == [
        frame.iloc[:, :4].to_numpy().tolist() for frame in parts[:4]
    ]
    assert sum("order of the dense head" in one.value for one in app.test.markdown) == 2
    brief = whole[whole["model"] == "dense"].iloc[0]
    assert brief["auc: gain"] == {name: gain for name, *_, gain in table(shown[1])}["auc"]


def test_several_models_stand_side_by_side(searcher):
    train(small("adapter", "one", model="tiny"))
    train(small("autoencoder", "two"))
    whole = frames(visit())[0]
    assert list(whole["model"]) == ["two", "one"] and list(whole["began as"])[1] == "tiny"
    assert all("[" in gain for gain in whole["precision@5: gain"])


def test_a_trained_model_is_used_with_one_click(searcher, monkeypatch):
    train(small("adapter", "mine", model="tiny"))
    update(open_gallery("photos"), load_embedder("mine", device="cpu", runtime="torch"))
    app = visit()
    went = []
    monkeypatch.setattr(st, "switch_page", went.append)
    app.click("Compare")
    assert went == [PAGES["compare"].path]
    assert app.link["model"] == "mine" and app.link["other"] == "tiny"


def test_a_denoiser_shows_every_profile(searcher):
    train(small("denoising", "clean", changes=("b/w", "sharpen"), hold_out=("sharpen",)))
    app = visit()
    captions = [one.value for one in app.test.caption]
    assert [text for text in captions if text in ("Perturbed", "Reconstruction", "Original")] == [
        "Perturbed",
        "Reconstruction",
        "Original",
    ]
    profile = app.widget("button_group", "aina.train.profile")
    assert len(profile.options) == 5 and "Training has not seen this change." not in captions
    app.set("button_group", "aina.train.profile", "sharpen")
    assert "Training has not seen this change." in [one.value for one in app.test.caption]
    assert app.link["train.profile"] == "sharpen"


def test_the_way_between_two_chosen_images(searcher):
    train(small("autoencoder", "auto"))
    app = visit()
    ends = app.widget("selectbox", "aina.train.to")
    assert len(ends.options) >= 16, "every image that was held out"
    app.set("selectbox", "aina.train.to", ends.options[1])
    assert app.link["train.to"] == ends.options[1]
    assert not app.said("error", "warning")
    foreign = visit(**{"train.from": "../../etc/passwd"})
    assert any("etc/passwd" in text for text in foreign.said("warning"))


def test_a_variational_autoencoder_shows_what_it_makes(searcher):
    train(small("vae", "auto"))
    app = visit(**{"train.model": "auto"})
    assert [x.value for x in app.test.subheader][1:] == [
        "What it sees, and what it makes of that",
        "From one image to another",
        "Drawn at random",
    ]
    assert not app.said("error")


def test_a_link_to_a_model_that_is_gone(searcher):
    train(small("siamese", "mine"))
    app = visit(**{"train.model": "other", "train.kind": "nonsense"})
    assert any("'other'" in text for text in app.said("warning"))


def test_a_training_that_was_stopped_goes_on_from_where_it_was(searcher, started, aina):
    settings = small("triplet", "halves", epochs=3, positives="labels", margin=0.3)
    kept = cut_short(settings)
    app = visit()
    assert any("was not trained to the end" in x.value for x in app.test.markdown)
    assert any(f"Epoch {kept.curves.epoch} of at most 3" in x.value for x in app.test.markdown)
    app.click("Go on")
    assert aina(*started[0]).status == 0
    (model,), _ = models()
    assert model.settings == settings and model.curves.scores[:2] == kept.curves.scores[:2]


def test_a_training_that_was_stopped_can_be_ended_with_its_best_epoch(searcher, started, aina):
    settings = small("autoencoder", "halves", epochs=40, patience=0, rate=3e-3)
    kept = cut_short(settings, epochs=6)
    assert kept.curves.best, "else there is nothing to keep"
    app = visit()
    app.click(f"Keep epoch {kept.curves.best} as the model")
    assert aina(*started[0]).status == 0
    (model,), _ = models()
    assert model.curves.scores == kept.curves.scores and model.curves.best == kept.curves.best


def test_an_autoencoder_that_ranked_best_untrained_is_told_by_what_is_kept(searcher, monkeypatch):
    scores = iter((0.9, 0.2, 0.4))
    monkeypatch.setattr("aina_core.training.run.validation_score", lambda *_: next(scores, 0.3))
    cut_short(small("autoencoder", "halves", epochs=9), epochs=2)
    app = visit()
    (told,) = [one.value for one in app.test.markdown if "held-out retrieval" in one.value]
    assert "0.400, before training 0.900, best since 0.400 in epoch 2" in told
    assert any("never the network as it began" in one.value for one in app.test.caption)


def test_deleting_what_was_stopped(searcher):
    cut_short(small("siamese", "halves"))
    visit().click("Delete this training")
    assert not unfinished()


def test_a_training_that_failed_says_why_and_offers_a_smaller_rate(searcher, started, aina, job):
    settings = small("siamese", "wild", rate=3e37, groups=64, decay=10.0)
    with pytest.raises(TrainingError) as told:
        train(settings)
    job(["train", "siamese", "--name", "wild"], status=2, message=str(told.value))
    app = visit()
    assert str(told.value) in app.said("error")
    app.click("Go on at a rate of 0.01")
    words = started[0]
    assert words[words.index("--rate") + 1] == "0.01"
    assert aina(*words).status == 0
    (model,), _ = models()
    assert np.isfinite(model.curves.scores).all()


def test_a_failure_that_a_smaller_rate_does_not_mend(searcher, started, job):
    settings = small("siamese", "full", rate=0.002)
    cut_short(settings)
    job(["train", "siamese", "--name", "full"], status=1, message="No space left on device")
    app = visit()
    assert "No space left on device" in app.said("error")
    app.click("Go on")
    words = started[0]
    assert words[words.index("--rate") + 1] == "0.002"


def test_going_on_takes_back_that_it_diverged(searcher):
    with pytest.raises(TrainingError):
        train(small("siamese", "wild", rate=3e37, groups=64, decay=10.0))
    assert unfinished()[0].diverged
    with pytest.raises(StoppedError):
        train(small("siamese", "wild", rate=1e-4, groups=64, decay=10.0), stop=lambda: True)
    assert not unfinished()[0].diverged


def test_a_failure_is_over_once_there_is_a_model(searcher, job):
    words = ["train", "siamese", "--name", "mine"]
    job(words, status=2, message="The loss became nan.")
    train(small("siamese", "mine", epochs=1))
    assert "The loss became nan." not in visit().said("error")
    job(words, status=2, message="There is a model named mine already.")
    assert "There is a model named mine already." in visit().said("error")


def test_a_training_that_failed_before_it_began(searcher, job):
    words = ["train", "siamese", "--name", "early"]
    folder = job(words, status=2, message="There is no gallery 'x'.")
    app = visit()
    assert "There is no gallery 'x'." in app.said("error")
    app.click("Delete this training")
    assert not folder.exists() and not app.said("error")


def test_a_training_that_runs_has_its_curves_and_is_stopped(searcher, job):
    cut_short(small("siamese", "now"))
    folder = job(["train", "siamese", "--name", "now"], active=True)
    app = visit()
    assert any("is being trained" in x.value for x in app.test.markdown)
    drawn = app.component("live-now")
    assert "held-out retrieval" in drawn["figure"]
    assert button(app, "Train").disabled, "one job runs at a time"
    app.click("Stop training")
    assert (folder / "stop").exists()
    assert button(app, "Stopping …").disabled


def test_the_curves_say_in_words_what_they_are():
    figure = training_curves([None, 0.9, 0.4], [0.2, 0.5, 0.4], 1)
    assert figure.layout.yaxis.title.text == "loss"
    assert figure.layout.yaxis2.title.text == "held-out retrieval"
    names = [trace.name for trace in figure.data]
    assert names == ["loss, mean of an epoch", "held-out retrieval", "before training",
                     "kept: epoch 1"]  # fmt: skip
    low, high = figure.layout.yaxis2.range
    assert low < 0.2 and high > 0.5
    assert training_curves([], [], 0).layout.yaxis2.range is None
