"""The Duplicates page: without a gallery, in a normal one, and when something is missing."""

import csv
import io
import shutil

import pytest
import streamlit as st
from PIL import Image

from aina_core import duplicates, jobs
from aina_core.csv_files import csv_text
from aina_core.duplicates import find_pairs, read_choices, stored_checked, turned_pairs
from aina_core.duplicates.suggestion import suggest
from aina_core.gallery import create, update
from aina_core.search.searcher import Searcher
from pages.duplicates import cache
from tests.support.app import App, unescaped

PAGE = "duplicates"
NEAR = {"duplicates.threshold": "0.999"}
JOB = ["duplicates", "--gallery", "mine", "--model", "tiny", "--browse"]


@pytest.fixture
def gallery(home, photos, embedder):
    """Twelve photographs, two of them twice, one of them three times."""
    shutil.copy(photos / "camera/1.jpg", photos / "<b>.jpg")
    shutil.copy(photos / "camera/1.jpg", photos / "camera/copy.jpg")
    with Image.open(photos / "brick/2.jpg") as image:
        image.resize((50, 50)).resize((100, 100)).save(photos / "brick/soft.png")
    made = create("mine", photos)
    update(made, embedder)
    st.cache_resource.clear()
    return made


@pytest.fixture
def started(monkeypatch):
    """The jobs that pages start, which are only written down."""
    found = []
    monkeypatch.setattr(jobs, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


def visit(**link):
    return App(PAGE, **{"gallery": "mine", "model": "tiny", **NEAR, **link})


def grids(app, name="group-"):
    """The cards of each grid: the ids, and the ones marked to be kept."""
    import json

    found = [x for x in app.test.get("bidi_component") if x.key.startswith(name)]
    sent = [json.loads(one.proto.json)["cards"] for one in found]
    return [[card["id"] for card in cards] for cards in sent], sent, [one.key for one in found]


def markdown(app):
    return " ".join(text.value for text in app.test.markdown)


def test_groups_with_the_one_to_keep(gallery):
    app = visit()
    app.has_sidebar()
    assert not app.said()
    ids, sent, _ = grids(app)
    copies = next(group for group in ids if "<b>.jpg" in group)
    assert set(copies) >= {"camera/1.jpg", "camera/copy.jpg", "<b>.jpg"}
    for cards in sent:
        assert [card.get("mark") for card in cards] == ["keep"] + [None] * (len(cards) - 1)
        assert all(" × " in card["caption"] for card in cards)
        assert all("similarity" in card and "percentile" in card for card in cards[1:])
    assert f"{len(copies)} images** · weakest pair " in markdown(app)
    words = [unescaped(text.value) for text in app.test.caption]
    assert any("of true copies are found" in text for text in words)
    assert any("false pairs per 1,000 images" in text for text in words)


def test_the_threshold_moves_without_new_work(gallery, monkeypatch):
    app = visit()
    before = sum(map(len, grids(app)[0]))
    monkeypatch.setattr("pages.duplicates.cache.find_pairs", lambda *_: pytest.fail("computed"))
    suggestion = suggest(Searcher(gallery, "tiny"))
    app.set("slider", "aina.duplicates.threshold", 0.95)
    assert app.link["duplicates.threshold"] == "0.950"
    assert sum(map(len, grids(app)[0])) > before
    app.set("slider", "aina.duplicates.threshold", suggestion.threshold)
    assert "duplicates.threshold" not in app.link


@pytest.mark.parametrize("text", ["nan", "-7", "much"])
def test_a_link_with_an_odd_threshold(gallery, text):
    app = visit(**{"duplicates.threshold": text, "duplicates.keep": "x", "duplicates.show": "y"})
    assert not app.said("error")


def test_a_choice_is_stored_and_can_be_taken_back(gallery):
    app = visit()
    ids, _, keys = grids(app)
    at = next(place for place, group in enumerate(ids) if "<b>.jpg" in group)
    wanted = ids[at][-1]
    app.send(keys[at], {"act": {"id": wanted, "action": "keep"}})
    ids, sent, keys = grids(app)
    assert ids[at][0] == wanted and sent[at][0]["mark"] == "keep"
    assert [choice["keep"] for choice in read_choices(gallery)] == [wanted]
    assert "kept: your choice" in markdown(app)
    app.click("Undo")
    assert read_choices(gallery) == [] and "your choice" not in markdown(app)


def test_a_foreign_click_changes_nothing(gallery):
    app = visit()
    key = grids(app)[2][0]
    for act in ({"id": "none", "action": "keep"}, {"id": "<b>.jpg"}, "x", None):
        app.send(key, {"act": act})
    assert read_choices(gallery) == []


def test_the_second_signal_stands_beside_the_cosine(gallery):
    sent = grids(visit(**{"duplicates.points": "1"}))[1]
    notes = [card["note"] for cards in sent for card in cards[1:]]
    assert notes and all("matched point" in note or "too few details" in note for note in notes)
    assert not any("point" in card["note"] for cards in grids(visit())[1] for card in cards)


def test_the_csv(gallery):
    opened = Searcher(gallery, "tiny")
    found = find_pairs(opened, 0.9).above(0.995)
    known = cache.duplicate_groups(opened, found, 0.995, "largest", turned=False)
    text = csv_text(duplicates.COLUMNS, duplicates.table(opened, known, "largest"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(row["decision"] == "keep" for row in rows) == len(known.groups)
    assert {row["id"] for row in rows} >= {"<b>.jpg", "camera/1.jpg"}


def test_pairs_between_groups(gallery, monkeypatch):
    app = visit(**{"duplicates.threshold": "0.900", "duplicates.show": "between"})
    opened = Searcher(gallery, "tiny")
    found = find_pairs(opened, 0.9)
    known = cache.duplicate_groups(opened, found, 0.9, "largest", turned=False)
    shown = grids(app, "between-")[0]
    assert shown == [[pair.first, pair.second] for pair in known.between[:12]]


def test_mirrored_ones_are_looked_for_by_a_job(gallery, started, embedder):
    app = visit(**{"duplicates.turned": "1"})
    assert "six turned versions" in app.said("info")[0] and grids(app)[0]
    app.click("Look for mirrored and turned ones")
    assert started == [
        ["duplicates", "--gallery", "mine", "--model", "tiny", "--browse", "--turned"]
    ]
    opened = Searcher(gallery, "tiny")
    turned_pairs(opened, embedder, suggest(opened).floor)
    assert not app.run().said("info", "error") and grids(app)[0]


def test_a_large_gallery_is_looked_through_by_a_job(gallery, started, monkeypatch, embedder):
    monkeypatch.setattr("pages.duplicates.cache.MOST_QUICK", 5)
    app = visit()
    assert "take a while" in app.said("info")[0] and not grids(app)[0]
    app.click("Find duplicates")
    assert started == [JOB]
    opened = Searcher(gallery, "tiny")
    find_pairs(opened, suggest(opened, embedder=lambda model: embedder).floor)
    assert not app.run().said() and grids(app)[0]


def test_a_folder_against_the_gallery(gallery, photos, monkeypatch, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(photos / "camera/1.jpg", folder / "known.jpg")
    (folder / "bad.jpg").write_bytes(b"no picture")
    monkeypatch.setenv("AINA_ROOTS", str(tmp_path))
    app = visit(**{"duplicates.folder": str(folder)})
    app.click("Look for its 2 pictures")
    assert not app.said("error")
    assert "1 of 2 pictures are in the gallery" in markdown(app)
    (ids,) = grids(app, "against-")[0]
    assert set(ids) >= {"camera/1.jpg", "camera/copy.jpg", "<b>.jpg"}
    assert any("bad.jpg" in text for text in app.texts())
    assert stored_checked(Searcher(gallery, "tiny"), folder).files == 2


def test_a_folder_that_may_not_be_read(gallery, monkeypatch, tmp_path):
    monkeypatch.setenv("AINA_ROOTS", str(tmp_path / "photos"))
    app = visit(**{"duplicates.folder": "/etc"})
    assert "There is no folder '/etc' below" in app.said("error")[0]


def test_a_large_folder_is_looked_through_by_a_job(gallery, photos, monkeypatch, started):
    monkeypatch.setattr("pages.duplicates.cache.MOST_QUICK_FILES", 3)
    monkeypatch.setenv("AINA_ROOTS", str(photos))
    app = visit(**{"duplicates.folder": str(photos)})
    app.click("Look for its 15 pictures")
    assert started[0][-4:] == ["--threshold", "0.999", "--against", str(photos)]


def check(app, data, name="new.jpg"):
    app.test.file_uploader(key="duplicates.check").upload(name, data, "image/jpeg")
    return app.run()


def test_a_file_that_is_here_already(gallery, photos):
    app = check(visit(), (photos / "camera/1.jpg").read_bytes())
    (sentence,) = app.said("warning")
    assert sentence.startswith("**Flagged.** The nearest is") and "1.000" in sentence
    assert "camera/1.jpg" in grids(app, "checked")[0][0]


def test_a_file_that_is_new(gallery, photo_set):
    app = check(visit(), (photo_set / "coffee" / "1.jpg").read_bytes())
    assert app.test.success[0].value.startswith("**Clean.**")
    assert len(grids(app, "checked")[0][0]) == 1, "the nearest is shown all the same"


def test_a_file_that_is_no_picture(gallery):
    app = check(visit(), b"no picture")
    assert "The picture cannot be used: not a picture" in app.said("error")[0]


# ── what is missing or damaged ───────────────────────────────────────────────────────────────────


def test_a_home_without_galleries(home):
    assert "There is no gallery yet" in App(PAGE).said("info")[0]


def test_a_model_that_has_not_indexed_the_gallery(gallery):
    app = visit(model="efficientnet-lite0")
    assert app.said("info") == ["The gallery mine is not indexed by efficientnet-lite0 yet."]


def test_one_image_alone(home, tmp_path, photos, embedder):
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(photos / "camera/1.jpg", folder)
    update(create("mine", folder), embedder)
    assert "a pair needs two" in visit().said("error")[0]


def test_damaged_choices(gallery):
    (gallery.folder / "duplicates.json").write_text("{")
    app = visit()
    assert "mend or remove" in app.said("error")[0] and "duplicates.json" in app.said("error")[0]
    assert app.test.file_uploader(key="duplicates.check"), "the other questions can be asked"


def test_damaged_vectors(gallery):
    (vectors,) = gallery.store("tiny").folder.glob("vectors-*.npy")
    vectors.write_bytes(vectors.read_bytes()[:-100])
    assert "damaged" in visit().said("error")[0]
