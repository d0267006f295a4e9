"""What trainings leave behind: deleting it, and what a killed process has left."""

import json
import os
import shutil
import threading
import time

import pytest

from aina_core import models as registry
from aina_core.disk.locks import alone
from aina_core.embedding import load_embedder
from aina_core.errors import InputError, StoppedError, UnknownNameError, WeightsRefusedError
from aina_core.models import names
from aina_core.models.trained import WEIGHTS, folder, manifest
from aina_core.training import delete, models, train, unfinished
from aina_core.training.checkpoints import Checkpoint, Spent, runs_folder
from aina_core.training.pairs_file import keep_pairs
from tests.support.trainings import narrow, small


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


@pytest.mark.parametrize("name", ["", ".", "..", ".runs", "mine/", "./mine", "../.trained"])
def test_nothing_is_deleted_by_what_is_no_name(searcher, name):
    train(small("adapter", "mine", model="tiny", epochs=1))
    with pytest.raises(UnknownNameError, match="no trained model named"):
        delete(name)
    assert folder().is_dir() and "mine" in names()


def begun(name):
    """Leave a training as one that has begun."""
    checkpoint = Checkpoint(small("siamese", name))
    with alone(checkpoint.folder, "testing"):
        checkpoint.begin("key")
    return checkpoint.folder


def test_what_a_kill_after_the_end_has_left_is_swept(searcher):
    """Killed between putting the model in its place and removing its run."""
    ended, going = begun("done"), begun("going")
    train(small("adapter", "other", model="tiny", epochs=1))
    (folder() / "other").rename(folder() / "done")
    with alone(ended, "testing"):  # as its process may still be at it
        assert [one.name for one in unfinished()] == ["going"] and ended.is_dir()
    assert [one.name for one in unfinished()] == ["going"]
    assert sorted(path.name for path in runs_folder().iterdir()) == ["going"] and going.is_dir()
    assert [one.name for one in models()[0]] == ["done"]


def test_what_a_kill_while_deleting_has_left_is_swept(searcher):
    left = begun("half").rename(runs_folder() / ".deleted-half")
    others = [folder() / ".deleted-whole", folder() / ".new-x3f9"]
    for other in others:
        shutil.copytree(left, other)
    begun("half")
    assert [one.name for one in unfinished()] == ["half"]
    assert not any(path.exists() for path in (left, *others))


def test_what_a_kill_while_a_model_is_put_in_its_place_has_left_is_made_anew(searcher):
    left = begun("mine") / "model" / WEIGHTS
    left.parent.mkdir()
    left.write_bytes(b"half of")
    train(small("siamese", "mine", epochs=1))
    load_embedder("mine", device="cpu", runtime="torch")
    assert sorted(path.name for path in folder().glob("*")) == [".runs", "mine"]
    assert not any(runs_folder().iterdir())


def test_deleting_is_not_in_the_way_of_what_an_earlier_one_left(searcher):
    begun("again").rename(runs_folder() / ".deleted-again")
    path = begun("again")
    delete("again")
    assert not path.exists() and unfinished() == []


def test_the_seconds_are_those_of_all_processes(searcher):
    settings = small("siamese", "mine", epochs=1)
    with pytest.raises(StoppedError):
        train(settings, stop=lambda: True)
    spent = Spent(runs_folder() / "mine")
    assert 0 < spent.seconds() < 600, "the first has noted its own"
    (runs_folder() / "mine" / "spent.json").write_text('{"seconds": 1000}')
    assert 1000 < train(settings)["result"]["seconds"] < 1600


def test_seconds_are_noted_on_the_way(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("aina_core.training.checkpoints.time.monotonic", lambda: now[0])
    told = []
    progress = Spent(tmp_path).noting(lambda *what: told.append(what))
    for second in (1, 4, 7, 8):
        now[0] = 100.0 + second
        progress("training", second, 9)
    assert Spent(tmp_path).seconds() == 7, "a process that is killed now loses a second"
    assert [done for _, done, _ in told] == [1, 4, 7, 8]
    for wrong in ('{"seconds": "nan"}', '{"seconds": -3}', "[]", "{", '{"seconds": null}'):
        (tmp_path / "spent.json").write_text(wrong)
        assert Spent(tmp_path).seconds() == 0


def test_another_training_of_the_name_is_refused_before_its_pictures_are_touched(searcher):
    path, seen = runs_folder() / "mine" / "pictures.u8", []
    settings = small("siamese", "mine", epochs=3)
    with pytest.raises(StoppedError):
        train(
            settings, progress=lambda *told: seen.append(told[0]), stop=lambda: "training" in seen
        )
    before = path.read_bytes()
    with pytest.raises(InputError, match="other images has not ended"):
        train(small("siamese", "mine", epochs=3, seed=1))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("settings", "kind", "zzz"),
        ("settings", "kind", ["siamese"]),
        ("settings", "epochs", "x"),
        ("settings", "epochs", True),
        ("settings", "rate", "fast"),
        ("settings", "rate", float("nan")),
        ("settings", "originals", 3.5),
        ("settings", "positives", "smell"),
        ("settings", "changes", [3]),
        ("settings", "pairs", 7),
        ("curves", "scores", "ab"),
        ("curves", "scores", [None]),
        ("curves", "scores", [0.5]),
        ("curves", "losses", 3),
        ("curves", "best", 2),
        ("curves", "best", -1),
        ("curves", "seconds", "long"),
        ("", "curves", []),
        ("", "settings", None),
        ("", "checksums", None),
        ("", "files", {"state": "../../x"}),
    ],
)
def test_a_damaged_record_is_listed_nowhere_and_gives_way(searcher, part, name, value):
    path = begun("mine") / "run.json"
    record = json.loads(path.read_text())
    (record[part] if part else record)[name] = value
    path.write_text(json.dumps(record))
    if name not in ("checksums", "files"):
        assert unfinished() == []
    assert Checkpoint(small("siamese", "mine")).begin("key").epoch == -1


def test_a_model_with_a_damaged_record_is_listed_as_damaged(searcher):
    train(small("siamese", "mine", epochs=1))
    path = folder() / "mine" / "model.json"
    record = json.loads(path.read_text())
    record["settings"]["kind"] = "zzz"
    path.write_text(json.dumps(record))
    found, damaged = models()
    assert not found and "its kind is not one that can be" in damaged["mine"]


def test_what_nothing_asks_for_is_in_nobodys_way(searcher):
    """Earlier versions kept a margin that a loss without one was given."""
    path = begun("mine") / "run.json"
    checkpoint = Checkpoint(small("siamese", "mine"))
    record = json.loads(path.read_text())
    record["settings"] |= {"temperature": 0.7}
    record["curves"] = {"losses": [None], "scores": [0.5], "seconds": 1.0, "best": 0}
    path.write_text(json.dumps(record))
    assert checkpoint.begin("key").epoch == 0
    record["settings"] |= {"margin": 0.7}
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="other settings"):
        checkpoint.begin("key")


def test_features_that_nobody_used_for_long_are_removed_but_not_under_who_uses_them(searcher):
    shared = folder() / ".features"
    for name in ("unused", "held", "new"):
        (shared / name).mkdir(parents=True)
    with alone(shared / "held", "testing"):
        for name in ("unused", "held"):
            os.utime(shared / name, (1e9, 1e9))
        train(small("siamese", "mine", epochs=1))
    assert sorted(path.name for path in shared.iterdir()) == ["held", "new"]


def test_a_second_training_over_one_model_waits_for_the_features_of_the_first(searcher):
    train(small("adapter", "first", model="tiny", epochs=1))
    (shared,) = (folder() / ".features").iterdir()
    held = threading.Event()

    def embed():
        with alone(shared, "testing"):
            held.set()
            time.sleep(1)

    thread = threading.Thread(target=embed)
    thread.start()
    held.wait()
    train(small("adapter", "second", model="tiny", epochs=1))
    thread.join()


def test_pairs_stand_beside_the_records_not_in_them(searcher, monkeypatch):
    ids = searcher.ids
    pairs = tuple((ids[4 * n], ids[4 * n + k]) for n in range(10) for k in (1, 2))
    settings = small("adapter", "mine", model="tiny", pairs=pairs, epochs=1)
    with pytest.raises(StoppedError):
        train(settings, stop=lambda: True)
    assert unfinished()[0].settings == settings
    assert ids[1] not in (runs_folder() / "mine" / "run.json").read_text()
    train(settings)
    assert models()[0][0].settings == settings
    path = folder() / "mine" / "model.json"
    record = json.loads(path.read_text())
    assert record["settings"]["pairs"]["count"] == 20
    record["settings"]["pairs"] = [list(pair) for pair in pairs]  # as earlier versions had it
    path.write_text(json.dumps(record))
    assert models()[0][0].settings == settings
    for wrong in ({"count": 20, "sha256": "0" * 64}, {"sha256": "../../x"}, {"count": 3}):
        path.write_text(json.dumps({**record, "settings": {**record["settings"], "pairs": wrong}}))
        assert "mine" in models()[1]


def test_uploads_of_pairs_that_nobody_used_for_long_are_removed(searcher):
    old = keep_pairs(f"first,second\n{searcher.ids[0]},{searcher.ids[1]}\n".encode())
    used = keep_pairs(f"first,second\n{searcher.ids[0]},{searcher.ids[2]}\n".encode())
    os.utime(old, (1e9, 1e9))
    keep_pairs(used.read_bytes())
    assert list(old.parent.iterdir()) == [used]


def test_every_rate_that_it_was_trained_at_is_kept_and_shown(searcher, aina):
    kept = []

    def stop():
        kept[:] = unfinished()
        return kept and kept[0].curves.epoch >= 2

    with pytest.raises(StoppedError):
        train(small("siamese", "mine", epochs=4, patience=0, rate=0.01), stop=stop)
    settings = small("siamese", "mine", epochs=4, patience=0, rate=0.001)
    assert train(settings)["curves"]["rates"] == [[1, 0.01], [3, 0.001]]
    assert (
        "learning rate: 0.01 from epoch 1, 0.001 from epoch 3" in aina("train", "show", "mine").out
    )
    path = folder() / "mine" / "model.json"
    record = json.loads(path.read_text())
    del record["curves"]["rates"]  # as earlier versions had it
    path.write_text(json.dumps(record))
    assert models()[0][0].curves.rates == []


def test_a_training_without_an_epoch_gives_way_to_another(searcher):
    with pytest.raises(StoppedError, match="are decoded"):
        train(small("siamese", "mine"), stop=lambda: True)
    assert [one.name for one in unfinished()] == ["mine"], "it is listed, and can be deleted"
    assert train(small("siamese", "mine", epochs=1, seed=1))["result"]["epochs"] == 1


def test_weights_of_another_base_or_damaged_are_refused(searcher, _tiny, monkeypatch):
    train(small("adapter", "mine", model="tiny", positives="labels"))
    path = folder() / "mine" / "model.json"
    record = manifest("mine")
    path.write_text(json.dumps({**record, "base_sha256": "0" * 64}))
    assert "other weights of tiny" in registry.state("mine").reason
    path.write_text(json.dumps({**record, "architecture": {"trunk": "magic", "dim": 3}}))
    with pytest.raises(InputError, match="is damaged"):
        registry.get("mine")
    assert registry.state("mine").status == "refused"
    path.write_text(json.dumps(record))
    file = path.with_name("weights.safetensors")
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    with pytest.raises(WeightsRefusedError, match="not those that were trained"):
        registry.get("mine").weights.locate()
    delete("mine")
    assert "mine" not in names()
