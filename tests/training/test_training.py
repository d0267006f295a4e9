"""Whole trainings of small networks: what they see, what they leave, and how they go on."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from aina_core import models
from aina_core.embedding import load_embedder
from aina_core.errors import InputError, StoppedError, TrainingError
from aina_core.gallery import create, open_gallery, update
from aina_core.models.trained import folder as trained_folder
from aina_core.models.trained import manifest
from aina_core.search.searcher import Searcher
from aina_core.training import train, unfinished
from aina_core.training.checkpoints import runs_folder
from aina_core.training.evaluation import FIGURES
from aina_core.training.inputs import Inputs
from aina_core.training.objectives import objective
from aina_core.training.plan import plan
from tests.support.process import start_tiny, wait_until
from tests.support.trainings import CHANGES, narrow, small

FAMILIES = {
    "siamese": {},
    "siamese-dense": {},
    "triplet": {"positives": "modifications"},
    "autoencoder": {},
    "vae": {},
    "denoising": {"changes": ("b/w", "sharpen")},
    "adapter": {"model": "tiny", "positives": "labels"},
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def weights(name):
    return models.load_tensors(trained_folder() / name / "weights.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_kind_becomes_a_model_like_any_other(searcher, kind):
    settings = small(kind, "mine", **FAMILIES[kind])
    told = []
    result = train(settings, progress=lambda *told_now: told.append(told_now))["result"]
    assert (result["name"], result["kind"], result["epochs"]) == ("mine", kind, 2)
    assert result["before"].keys() == result["after"].keys() == set(FIGURES)
    several = len(settings.changes)
    for name, interval in result["intervals"].items():
        if name.startswith("recovery") and int(name[-1]) > several:
            assert interval is result["before"][name] is None, name
            continue
        assert interval is not None and interval[0] <= interval[1], name
        gain = result["after"][name] - result["before"][name]
        assert interval[0] - 1e-6 <= gain <= interval[1] + 1e-6
    alone = kind == "adapter"  # one of the 19 has a label that no other of them has
    assert result["held_out"] == 16 and result["trained_on"] == 19 - alone
    assert ("training", 1) in {(phase, done) for phase, done, _ in told}
    assert not runs_folder().joinpath("mine").exists()
    # it is a model: offered, loaded, indexed and searched
    assert "mine" in models.names() and models.state("mine").status == "ready"
    embedder = load_embedder("mine", device="cpu", runtime="torch")
    gallery = open_gallery("photos")
    update(gallery, embedder)
    opened = Searcher(gallery, "mine")
    vector = opened.vector(opened.ids[0])
    assert vector.shape == (models.get("mine").dim,)
    assert opened.search(vector).nearest(1)[0].id == opened.ids[0]


@pytest.mark.parametrize("kind", ["siamese", "adapter"])
def test_what_is_judged_is_what_the_model_embeds(searcher, kind):
    settings = small(kind, "mine", **FAMILIES[kind])
    record = train(settings)
    gallery = open_gallery("photos")
    runtime = "openvino" if kind == "siamese" else "torch"
    update(gallery, load_embedder("mine", device="cpu", runtime=runtime))
    opened = Searcher(gallery, "mine")
    test = record["data"]["split"]["test"]
    rows, labels = opened.vectors(test), [image_id.partition("/")[0] for image_id in test]
    found = []
    for place, label in enumerate(labels):
        if labels.count(label) < 2:
            continue
        order = [n for n in np.argsort(-rows @ rows[place], kind="stable") if n != place][:5]
        found.append(sum(labels[n] == label for n in order) / 5)
    assert record["result"]["after"]["precision@5"] == pytest.approx(np.mean(found), abs=0.03)


@pytest.mark.parametrize("kind", ["siamese", "triplet", "vae"])
def test_no_test_original_is_seen_in_training(searcher, tmp_path, kind):
    """Other pictures in the place of those held out: the weights are the same to the last bit."""
    options = {**FAMILIES[kind], "hold_out": ("rotated/90",), "changes": CHANGES}
    record = train(small(kind, "first", **options))
    other = tmp_path / "other"
    shutil.copytree(searcher.gallery.root, other)
    for number, image_id in enumerate(record["data"]["split"]["test"]):
        Image.effect_noise((90 + number, 80), 60).convert("RGB").save(other / image_id)
    update(create("changed", other), load_embedder("tiny", device="cpu"))
    again = train(small(kind, "second", gallery="changed", **options))
    assert again["data"]["split"] == record["data"]["split"]
    assert equal(weights("first"), weights("second"))
    assert again["curves"]["scores"] == record["curves"]["scores"]
    assert again["result"]["after"] != record["result"]["after"]


def test_the_adapter_sees_no_test_original_either(searcher, tmp_path):
    settings = small("adapter", "first", model="tiny", hold_out=("mirrored",))
    record = train(settings)
    made = plan(settings, searcher.gallery)
    hidden = np.ones_like(made.wanted.needed)
    hidden[np.ix_(made.split.train, made.train_columns)] = False
    hidden[np.ix_(made.split.validation, made.check_columns)] = False
    assert hidden[made.split.test].all(), "the loop may take nothing of a test original"
    mirrored = 1 + made.changes.index("mirrored")
    assert hidden[:, mirrored].all(), "nor any image by a change that is held out"
    assert record["result"]["unseen"]["changes"] == ["mirrored"]
    assert record["result"]["unseen"]["before"]["recovery_precision@1"] is not None


def test_the_same_twice(searcher):
    one = train(small("siamese", "one"))
    other = train(small("siamese", "other"))
    assert equal(weights("one"), weights("other"))
    for key in ("before", "after", "intervals"):
        assert one["result"][key] == other["result"][key]
    third = train(small("siamese", "third", seed=1, epochs=1))
    assert not equal(weights("one"), weights("third"))
    assert third["data"]["split"] != one["data"]["split"]


@pytest.mark.parametrize("kind", ["siamese", "vae", "adapter"])
def test_a_stopped_training_goes_on_to_the_same_weights(searcher, kind):
    options = {**FAMILIES[kind], "epochs": 3, "patience": 0}
    train(small(kind, "whole", **options))
    steps = []

    def stop():
        return len(steps) > 1

    def progress(phase, done, total):
        if phase == "training":
            steps.append(done)

    with pytest.raises(StoppedError, match=r"epoch \d of 3 is kept"):
        train(small(kind, "halves", **options), progress=progress, stop=stop)
    (waiting,) = unfinished()
    assert waiting.name == "halves" and 0 <= waiting.curves.epoch < 3 and not waiting.running
    assert "halves" not in models.names()
    with pytest.raises(InputError, match="other settings has not ended"):
        train(small(kind, "halves", **{**options, "decay": 0.5}))
    train(small(kind, "halves", **options))
    assert equal(weights("whole"), weights("halves")) and unfinished() == []


def test_a_killed_training_goes_on(searcher, aina):
    words = ("train", "adapter", "--gallery", "photos", "--model", "tiny", "--patience", 0)
    words = (*words, "--changes", "mirrored", "--judged", 4, "--json")
    process = start_tiny(*words, "--name", "killed", "--epochs", 2000)
    wait_until(lambda: any(one.curves.epoch > 1 for one in unfinished()))
    assert unfinished()[0].running
    process.kill()
    process.communicate()
    epoch = unfinished()[0].curves.epoch
    run = aina(*words, "--name", "killed", "--epochs", epoch + 1)
    assert run.status == 0, run.err
    assert run.json["epochs"] == epoch + 1 and "killed" in models.names()


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("judging the network as it is", "the last whole epoch is kept"),
        ("judging what was trained", "the last whole epoch is kept"),
        ("training", "epoch 0 of 1 is kept"),
    ],
)
def test_judging_is_told_of_and_can_be_stopped(searcher, monkeypatch, phase, said):
    monkeypatch.setattr("aina_core.training.inputs._BATCH", 4)
    told = []

    def stop():
        if phase != "training":
            return told[-1:] and told[-1][0] == phase and told[-1][1] > 4
        return told[-1:] and told[-1][0] == phase and told[-1][1] == told[-1][2]  # to be scored

    with pytest.raises(StoppedError, match=said):
        train(small("siamese", "mine", epochs=1), progress=lambda *now: told.append(now), stop=stop)
    assert all(done <= total for _, done, total in told)
    assert train(small("siamese", "mine", epochs=1))["result"]["epochs"] == 1


def test_a_frozen_trunk_looks_at_every_unchanged_picture_once(searcher, monkeypatch):
    seen = []
    made = Inputs.unit_rows

    def unit_rows(self, embed, places, columns, **options):
        seen.extend(zip(places.tolist(), columns.tolist(), strict=True))
        return made(self, embed, places, columns, **options)

    settings = small("siamese", "mine", model="tiny", epochs=3, patience=0)
    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "unit_rows", unit_rows)
        record = train(settings)
    assert seen and len(set(seen)) == len(seen), "in three epochs, and before and after them"
    monkeypatch.setattr("aina_core.training.run.FrozenTrunk", lambda *_: None)
    other = train(small("siamese", "other", model="tiny", epochs=3, patience=0))
    assert other["curves"]["scores"] == pytest.approx(record["curves"]["scores"], abs=1e-5)
    for part in ("before", "after"):
        assert other["result"][part] == pytest.approx(record["result"][part], abs=1e-5)


@pytest.mark.parametrize("kind", ["triplet", "siamese-dense", "vae"])
def test_losses_are_computed_in_full_precision(searcher, monkeypatch, kind):
    """Under half precision of the networks, as on a CUDA device, the losses are float32."""
    half = []

    def precision(device):
        half.append(device)
        return torch.autocast("cpu", torch.bfloat16)

    def checked(settings, inputs):
        compute = objective(settings, inputs)

        def loss(network, batch):
            assert not torch.is_autocast_enabled("cpu")
            found = compute(network, batch)
            assert found.dtype == torch.float32
            return found

        return loss

    monkeypatch.setattr("aina_core.training.objectives.precision", precision)
    monkeypatch.setattr("aina_core.training.run.objective", checked)
    record = train(small(kind, "half", epochs=1))
    assert half and np.isfinite(record["curves"]["losses"][1])


def test_a_loss_that_is_no_number_stops_and_keeps_the_best_epoch(searcher, monkeypatch):
    calls = []
    settings = small("siamese", "sick", epochs=3, patience=0)

    def sick(settings, inputs):
        healthy = objective(settings, inputs)

        def compute(network, batch):
            calls.append(1)
            loss = healthy(network, batch)
            return loss * float("nan") if len(calls) > 4 else loss

        return compute

    with monkeypatch.context() as patch:
        patch.setattr("aina_core.training.run.objective", sick)
        with pytest.raises(TrainingError, match=r"became nan in epoch \d.*--rate"):
            train(settings)
    kept = unfinished()[0].curves
    assert kept.epoch == kept.best and all(np.isfinite(score) for score in kept.scores)
    with pytest.raises(StoppedError, match="the last whole epoch is kept"):
        train(small("siamese", "sick", epochs=3, patience=0, rate=1e-5), stop=lambda: True)


def test_it_learns_what_it_is_shown(searcher):
    """A tiny run overfits: the loss of the Siamese network falls below a tenth of its margin."""
    options = {"positives": "labels", "epochs": 20, "patience": 0, "rate": 3e-3}
    curves = train(small("siamese", "fit", **options))["curves"]
    assert curves["losses"][-1] < 0.1 < curves["losses"][1]
    curves = train(small("autoencoder", "auto", dim=32, epochs=25, patience=0, rate=1e-2))["curves"]
    assert curves["losses"][-1] < 0.5 * curves["losses"][1]


def test_early_stopping_keeps_the_best_score(searcher):
    record = train(small("siamese", "short", epochs=50, patience=2))
    scores, best = record["curves"]["scores"], record["curves"]["best"]
    assert len(scores) < 51 and len(scores) - 1 - best == 2
    assert scores[best] == max(scores) and scores.index(max(scores)) == best
    assert record["result"]["best_epoch"] == best


def test_an_autoencoder_is_never_kept_untrained(searcher, monkeypatch):
    """Its encoder may rank best as it began, but then its decoder would draw noise."""
    scores = iter((0.9, 0.2, 0.4, 0.3))
    monkeypatch.setattr("aina_core.training.run.validation_score", lambda *_: next(scores))
    curves = train(small("autoencoder", "auto", epochs=3))["curves"]
    assert curves["scores"] == [0.9, 0.2, 0.4, 0.3] and curves["best"] == 2
    scores = iter((0.9, 0.2, 0.4))
    curves = train(small("siamese", "other", epochs=2))["curves"]
    assert curves["best"] == 0, "an encoder alone is judged by its score"


def test_a_residual_head_begins_as_its_backbone(searcher):
    record = train(small("adapter", "still", model="tiny", head="residual", rate=1e-12, epochs=1))
    before, after = record["result"]["before"], record["result"]["after"]
    assert after == pytest.approx(before, abs=1e-3)


def test_a_trained_trunk_and_its_explanations(searcher):
    record = train(
        small("siamese", "whole", model="tiny", trunk="trained", head="linear", head_dim=5)
    )
    assert record["trunk_trained"] and models.get("whole").dim == 5
    assert any(key.startswith("trunk.") for key in weights("whole"))
    path = trained_folder() / "whole" / "model.json"
    path.write_text(json.dumps({**manifest("whole"), "base_sha256": "0" * 64}))
    assert models.state("whole").status == "ready", "it needs nothing of its base's file any more"
    frozen = train(small("siamese", "part", model="tiny"))
    assert {key.partition(".")[0] for key in weights("part")} == {"head"}
    assert not frozen["trunk_trained"]
    for name in ("whole", "part"):
        network = models.load_network(models.get(name))
        assert network.get_submodule(models.get(name).layer) is not None


def test_pairs_of_a_file(searcher):
    ids = searcher.ids
    pairs = tuple((ids[4 * n], ids[4 * n + k]) for n in range(10) for k in (1, 2, 3))
    settings = small("adapter", "paired", model="tiny", pairs=pairs)
    assert settings.positives == "pairs" and settings.loss == "supcon"
    record = train(settings)
    parts = [{i.partition("/")[0] for i in ids} for ids in record["data"]["split"].values()]
    assert not parts[0] & parts[2], "a family is in one part only"
    assert record["result"]["after"]["precision@5"] is not None


def test_labels_that_are_not_there(home, photo_set, embedder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(photo_set.rglob("*.*"))):
        shutil.copy(path, flat / f"{number}{path.suffix}")
    update(create("flat", flat), embedder)
    with pytest.raises(InputError, match="two or more; at least 2 are needed"):
        train(small("adapter", "x", gallery="flat", model="tiny", positives="labels"))
    record = train(small("adapter", "y", gallery="flat", model="tiny"))
    result = record["result"]
    assert result["before"]["precision@5"] is None and result["intervals"]["map@5"] is None
    assert result["before"]["auc"] is not None


def test_a_file_that_cannot_be_read_is_left_out(searcher, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(searcher.gallery.root, folder)
    gallery = create("copy", folder)
    update(gallery, load_embedder("tiny", device="cpu"))
    gone = plan(small("siamese", "x", gallery="copy"), gallery).originals[0].id
    (folder / gone).write_bytes(b"no picture any more")
    result = train(small("siamese", "rest", gallery="copy"))["result"]
    assert [failed["id"] for failed in result["failed"]] == [gone]
    assert "changed" in result["failed"][0]["reason"]
