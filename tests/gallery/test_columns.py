"""What an opened gallery knows of its rows, held as columns: the same whether few or many."""

import json

import numpy as np
import pytest

from aina_core.errors import DamagedError
from aina_core.gallery import Annotation, columns, create, folder_label, open_known, update
from aina_core.gallery.catalogue import ImageRecord
from aina_core.gallery.columns import Collecting
from aina_core.gallery.vectors import row_keys
from aina_core.gallery.vectors.row_keys import Keys, Places
from aina_core.search.searcher import Searcher

IDS = sorted(["a", 'quote"d', "back\\slash", "two\nlines", "é", "z", "象", "🐘", "dir/x", "dir/y"])


@pytest.fixture(params=["few", "many"])
def size(request, monkeypatch):
    """Keys held in memory, or read as they are asked for; texts listed, or packed."""
    if request.param == "many":
        monkeypatch.setattr(row_keys, "MOST_HELD", 2)
        monkeypatch.setattr(columns, "_MOST_LISTED", 2)
    return request.param


def table(ids):
    lines = [json.dumps([key, f"{n:064}"], ensure_ascii=False) + "\n" for n, key in enumerate(ids)]
    return np.frombuffer("".join(lines).encode(), np.uint8)


def test_keys_are_what_was_written(size):
    found = Keys(table(IDS), len(IDS))
    ids, checksums = found.column(0), found.column(1)
    assert isinstance(ids, list) is (size == "few")
    assert list(ids) == IDS and [ids[row] for row in range(len(IDS))] == IDS
    assert ids[2:5] == IDS[2:5] and ids[-1] == IDS[-1] and ids[np.int64(3)] == IDS[3]
    assert checksums[4] == f"{4:064}" and len(checksums) == len(IDS)
    assert [key for block, _ in found.blocks() for key in block] == IDS
    with pytest.raises(IndexError):
        ids[len(IDS)]


def test_places_are_found(size):
    found = Keys(table(IDS), len(IDS))
    places = Places(found, found.column(0))
    for row, image_id in enumerate(IDS):
        assert places.find(image_id) == row
    for stranger in ("", "b", "zz", "象x", "\U0010ffff"):
        assert places.find(stranger) is None
    asked = [*IDS[::-1], "b"]
    expected = [*range(len(IDS))[::-1], -1]
    assert places.find_all(asked, len(asked)).tolist() == expected
    assert places.find_all(["é"], 1).tolist() == [IDS.index("é")]


@pytest.mark.parametrize("count", [0, 9, 11])
def test_other_names_than_vectors_are_damage(count):
    with pytest.raises(DamagedError, match=f"10 names for {count} vectors"):
        Keys(table(IDS), count)


def test_words_are_counted_and_found(size):
    collecting = Collecting()
    given = ["b", "a", "", "b", "é"]
    collecting.extend(given)
    collecting.skip_to(7)
    collecting.extend(["a"])
    found = collecting.words()
    told = [*given, None, None, "a"]
    assert [found[row] for row in range(8)] == told
    assert found.texts(np.array([7, 5, 0])) == ["a", "", "b"]
    assert found.counts() == {"": 3, "a": 2, "b": 2, "é": 1}
    assert found.among(["a", "é"]).tolist() == [text in ("a", "é") for text in told]
    assert found.among([""]).tolist() == [not text for text in told]


def test_only_texts_that_occur_are_looked_up():
    class Asked(list):
        asked = 0

        def __getitem__(self, place):
            self.asked += 1
            return super().__getitem__(place)

        def __iter__(self):
            raise AssertionError("all are looked up")

    names = Asked(f"text {n}" for n in range(1000))
    found = columns.Words(np.array([*range(1000), -1, 7]), names)
    assert found.texts(np.array([7, 1000, 1001, 12])) == ["text 7", "", "text 7", "text 12"]
    assert names.asked == 2


def test_many_different_texts_need_wider_numbers():
    collecting = Collecting()
    texts = [f"text {n}" for n in range(40_000)]
    collecting.extend(texts)
    found = collecting.words()
    assert found.codes.dtype == np.int32 and found.texts(np.arange(40_000)) == texts
    assert Collecting().words().counts() == {}


@pytest.mark.parametrize("step", [1, 3, 40])
def test_rows_are_found_whichever_ids_are_asked_for(step, monkeypatch):
    monkeypatch.setattr(columns, "_BLOCK", step)
    rng = np.random.default_rng(0)
    for trial in range(300):
        there = {f"{n:03}": (f"{n:03}", trial) for n in rng.permutation(90)[: rng.integers(90)]}
        asked = sorted(f"{n:03}" for n in rng.permutation(90)[: rng.integers(90)])
        rows = columns._Step(iter([there[key] for key in sorted(there)]))
        found: list = []
        size = int(rng.integers(1, 20))
        for start in range(0, len(asked), size):
            found += rows.take(asked[start : start + size])
        assert found == [there.get(key) for key in asked]


def test_a_gallery_is_known_row_by_row(home, photos, embedder, tiny, size):
    made = create("mine", photos)
    notes = {
        "astronaut/0.png": Annotation("person", "a caption", {"kind": "x", "place": ""}),
        "brick/1.jpg": Annotation("wall", "", {"kind": "y"}),
        "brick/2.jpg": Annotation("", "", {}),
        "nosuch.jpg": Annotation("nothing", "", {"kind": "z"}),
    }
    update(made, embedder, labels=notes)
    ids = list(made.vectors(tiny).ids)
    # one is gone, one has changed, one is no picture any more, and others have come between
    made.catalogue.remove([ids[3]])
    before = made.catalogue.images()
    changed = ImageRecord(ids[5], 5, 6, "f" * 64, 7, 8)
    failed = ImageRecord(ids[6], 1, 2, before[ids[6]].sha256, failure="torn")
    made.catalogue.record([changed, failed, *(ImageRecord(f"{key}+", 1, 2, "e") for key in ids)])
    expected = made.catalogue.images()
    said = made.catalogue.annotations()
    records, annotations = open_known(made.catalogue, made.vectors(tiny))
    assert list(records) == [expected.get(key) for key in ids]
    assert list(annotations) == [said.get(key) or Annotation(folder_label(key)) for key in ids]
    assert np.flatnonzero(~records.usable).tolist() == [3, 5, 6]
    opened = Searcher(made, tiny)
    assert opened.count == 9 and opened.columns == {"kind": {"": 10, "x": 1, "y": 1}}
    assert opened.labels == {"": 1, "astronaut": 3, "brick": 2, "camera": 4, "person": 1, "wall": 1}
    hits = opened.search(opened.vector(ids[0]), columns={"kind": ["x", "y"]}).nearest(9)
    assert {hit.id for hit in hits} == {"astronaut/0.png", "brick/1.jpg"} - {ids[5], ids[6]}
    assert opened.has(ids[0]) and not opened.has(ids[3]) and not opened.has(f"{ids[0]}+")
    assert opened.having([ids[0], ids[5], "b"]).tolist() == [True, False, False]
    assert list(opened.found_ids) == [key for row, key in enumerate(ids) if row not in (3, 5, 6)]
