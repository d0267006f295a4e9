"""Loaded models within a memory budget; what is settled for a model."""

import dataclasses
import gc
import locale
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aina_core import models
from aina_core.disk import paths
from aina_core.embedding import load_embedder
from aina_core.embedding import pool as pools
from aina_core.embedding.pool import Pool, budget, expected_bytes
from aina_core.errors import DamagedError, InputError, UnknownNameError, WeightsMissingError
from aina_core.models import ModelName, settings
from aina_core.models.settings import chosen_name, settle

MB = 1_000_000


@dataclasses.dataclass(eq=False)
class Thing:
    bytes: int


def keep(pool, key, size, expected=None):
    return pool.get(key, lambda: Thing(size), size if expected is None else expected)


# ── the budget ───────────────────────────────────────────────────────────────────────────────────


def test_what_was_used_longest_ago_leaves_first():
    pool = Pool(10)
    for key in "abc":
        keep(pool, key, 3)
    assert pool.kept() == ["a", "b", "c"] and pool.bytes == 9
    first = keep(pool, "a", 3)  # used again
    keep(pool, "d", 3)
    assert pool.kept() == ["c", "a", "d"]
    assert keep(pool, "a", 99) is first  # it was not loaded anew
    keep(pool, "e", 7)
    assert pool.kept() == ["a", "e"] and pool.bytes == 10


def test_room_is_made_before_a_load_and_measured_after_it():
    pool = Pool(10)
    keep(pool, "a", 5)
    during = []

    def load():
        during.extend(pool.kept())
        return Thing(4)

    pool.get("b", load, expected=8)
    assert during == ["b"]  # eight were expected, so a had to go
    keep(pool, "c", size=9, expected=1)
    assert pool.kept() == ["c"] and pool.bytes == 9  # nine were found


def test_one_that_is_larger_than_the_budget_is_kept_alone():
    pool = Pool(10)
    keep(pool, "a", 3)
    large = keep(pool, "large", 50)
    assert pool.kept() == ["large"] and keep(pool, "large", 0) is large
    keep(pool, "a", 3)
    assert pool.kept() == ["a"]


def test_one_that_grows_is_counted_as_it_is():
    pool = Pool(10)
    thing = keep(pool, "a", 3)
    thing.bytes = 8
    keep(pool, "b", 3)
    assert pool.kept() == ["b"]


def test_who_asks_at_once_waits_for_one_load():
    pool, loads, gate = Pool(10), [], threading.Barrier(8)

    def load():
        loads.append(None)
        time.sleep(0.05)
        return Thing(1)

    def ask(_):
        gate.wait()
        return pool.get("a", load, 1)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))
    assert len(loads) == 1 and len(set(map(id, found))) == 1


def test_a_long_load_does_not_hold_up_others():
    pool, begun, end = Pool(10), threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert end.wait(10)
        return Thing(1)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.get, "slow", slow, 1)
        assert begun.wait(10)
        assert keep(pool, "quick", 1).bytes == 1 and not waiting.done()
        end.set()
        assert waiting.result(10).bytes == 1


def test_a_failed_load_is_everybodys_and_tried_again():
    pool = Pool(10)

    def fail():
        raise WeightsMissingError("they are not here")

    for _ in range(2):
        with pytest.raises(WeightsMissingError):
            pool.get("a", fail, 1)
    assert pool.kept() == [] and keep(pool, "a", 2).bytes == 2


# ── models ───────────────────────────────────────────────────────────────────────────────────────


def test_models_are_shared_and_a_user_of_one_that_left_goes_on(home, tiny, other_tiny, pictures):
    pool = Pool(expected_bytes(ModelName(tiny)) + 1000)
    first = pool.embedder(tiny)
    assert pool.embedder(tiny) is first
    assert pool.embedder(f"{tiny}@pca5") is first  # its axes are a gallery's, its network is this
    before = first.embed(pictures[:3])
    second = pool.embedder(other_tiny)
    assert [key[1] for key in pool.kept()] == [other_tiny]
    assert (first.embed(pictures[:3]) == before).all()
    assert np.abs(second.embed(pictures[:3]) - before).max() > 1e-3
    left = weakref.ref(first)
    del first
    gc.collect()
    assert left() is None  # and when nobody uses it any more, its memory is free


def test_many_threads_embed_while_models_come_and_go(home, tiny, other_tiny, pictures):
    names = [tiny, other_tiny]
    expected = {name: load_embedder(name).embed(pictures[:1]) for name in names}
    before = locale.setlocale(locale.LC_CTYPE)
    pool = Pool(1)  # room for none but the one that is asked for

    def work(number):
        name = names[number % 2]
        assert (pool.embedder(name).embed(pictures[:1]) == expected[name]).all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(12)))
    assert len(pool.kept()) == 1
    # OpenVINO loading twice at once would leave the process in the locale C
    assert locale.setlocale(locale.LC_CTYPE) == before


def test_what_a_model_takes_is_told(home):
    name = "efficientnet-lite0"
    weights = models.get(name).weights.locate().stat().st_size
    working = 64 << 20
    for runtime in ("openvino", "torch"):
        found = load_embedder(name, device="cpu", runtime=runtime).bytes - working
        assert weights * 0.9 < found < weights * 2.2
    assert expected_bytes(ModelName(name)) == working + 2 * weights
    assert expected_bytes(ModelName(name, native=True)) > expected_bytes(ModelName(name))


@pytest.mark.parametrize(
    ("given", "amount"),
    [("4GB", 4e9), ("800MB", 8e8), ("1.5 g", 1.5e9), ("700m", 7e8), ("123456", 123456)],
)
def test_the_budget_is_what_the_variable_says(given, amount, monkeypatch):
    monkeypatch.setenv("AINA_MODEL_MEMORY", given)
    assert budget() == amount


def test_the_budget_is_a_third_of_the_memory(monkeypatch, tmp_path):
    monkeypatch.delenv("AINA_MODEL_MEMORY", raising=False)
    (tmp_path / "max").write_text("max\n")
    monkeypatch.setattr(pools, "_CONTROL_GROUP", tmp_path / "max")
    installed = budget()
    assert 100 * MB < installed < 100_000_000 * MB
    (tmp_path / "max").write_text("900000000\n")
    assert budget() == 300 * MB


@pytest.mark.parametrize("given", ["lots", "-4GB", "4 QB"])
def test_a_budget_that_cannot_be_read(given, monkeypatch):
    monkeypatch.setenv("AINA_MODEL_MEMORY", given)
    with pytest.raises(InputError, match="give an amount of memory such as 4GB or 800MB"):
        budget()


# ── what is settled for a model ──────────────────────────────────────────────────────────────────


def test_settings_are_kept_and_left_open_again(home, tiny, aina):
    run = aina("models", "set", tiny, "--device", "cpu", "--precision", "fast", "--json")
    assert run.json == [{"name": "tiny", "device": "cpu", "precision": "fast"}]
    assert settings.of("tiny") == {"device": "cpu", "precision": "fast"}
    assert aina("models", "set", tiny).out == "tiny: device cpu, precision fast\n"
    assert aina("models", "set", tiny, "--device", "auto").out.endswith("auto, precision fast\n")
    assert aina("models", "set", tiny, "--precision", "auto").status == 0
    assert paths.read_json(home / "models-settings.json") == {}


def test_the_device_is_used_where_none_is_given(home, tiny, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settle(tiny, device="cpu")
    assert load_embedder(tiny).runtime.device == "cpu"
    assert load_embedder(f"{tiny}@fast").runtime.device == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settle(tiny, device="cuda")
    with pytest.raises(InputError, match=r"say cuda: No CUDA device.*models set tiny --device aut"):
        load_embedder(tiny)
    assert load_embedder(tiny, device="cpu").runtime.device == "cpu"
    assert load_embedder(tiny, runtime="openvino").runtime.device == "cpu"


def test_a_change_of_the_device_reaches_the_pool(home, tiny):
    pool = Pool(10**9)
    first = pool.embedder(tiny)
    settle(tiny, device="cpu")
    assert pool.embedder(tiny) is not first


def test_the_precision_is_of_names_that_leave_it_open(home, tiny, photos, aina):
    settle(tiny, precision="fast")
    assert str(chosen_name(tiny)) == "tiny@fast"
    assert str(chosen_name("tiny@pca5@native")) == "tiny@native@fast@pca5"
    assert str(chosen_name(tiny, "exact")) == "tiny"
    assert load_embedder(tiny, device="cpu").model == tiny  # a full name says what it says
    run = aina("index", photos, "--gallery", "mine", "--model", tiny, "--json")
    assert run.json["model"] == "tiny@fast"
    query = ["search", "--gallery", "mine", "--image", photos / "brick/1.jpg", "--model", tiny]
    assert aina(*query, "--json").json["model"] == "tiny@fast"
    assert "not indexed by tiny (" in aina(*query, "--mode", "exact").err
    settle(tiny, precision="exact")
    assert str(chosen_name("tiny@fast")) == "tiny@fast"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"tiny": {"device": "tpu"}}', "says 'tpu' for 'device' of the model 'tiny'"),
        (b'{"tiny": {"colour": "cpu"}}', "says 'cpu' for 'colour'"),
        (b'{"tiny": "fast"}', "says 'fast'"),
        (b'{"tiny": {"device": ["cpu"]}}', "which cannot be; mend the file, or delete it"),
        (b"[]", "not a JSON object"),
        (b"{", "cannot be read"),
    ],
)
def test_a_foreign_file_of_settings_is_refused(content, message, home, tiny):
    home.mkdir()
    (home / "models-settings.json").write_bytes(content)
    with pytest.raises(DamagedError, match=message):
        load_embedder(tiny)


def test_settings_that_cannot_be(home, tiny, aina):
    with pytest.raises(UnknownNameError):
        settle("nothing", device="cpu")
    with pytest.raises(InputError, match="with all its variants; give tiny alone"):
        settle("tiny@fast", device="cpu")
    with pytest.raises(InputError, match="no device 'tpu'; choose from: cpu, cuda"):
        settle(tiny, device="tpu")
    run = aina("models", "set", tiny, "--device", "tpu")
    assert run.status == 2 and "invalid choice" in run.err
    if not __import__("torch").cuda.is_available():
        run = aina("models", "set", tiny, "--device", "cuda")
        assert run.status == 2 and "No CUDA device was found" in run.err
    assert not (home / "models-settings.json").exists()
