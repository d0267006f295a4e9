"""The Robustness page: empty, normal and failing; its cells, pairs, jobs and earlier studies."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from aina_core import jobs, studies
from aina_core.changes.modifications import apply
from aina_core.gallery import open_gallery, uploads
from aina_core.images import read_image
from aina_core.studies import store
from tests.support.app import App
from tests.support.studies import CHANGES, TWO, settings
from ui import serve

ROBUSTNESS = "robustness"


class Page(App):
    """The Robustness page as one person sees it."""

    def __init__(self, kind="modifications", gallery="photos", **link):
        if kind != "modifications":
            link["robustness.study"] = kind
        super().__init__(ROBUSTNESS, gallery=gallery, model="tiny", **link)

    def cards(self, name):
        sent = self.component(f"robustness-{name}")
        return sent and sent["cards"]

    def act(self, name, card, action):
        found = (x.key for x in self.test.get("bidi_component"))
        key = next(key for key in found if key.startswith(f"robustness-{name}"))
        self.test.session_state[key] = {"act": {"id": card, "action": action}}
        return self.run()

    def cell(self, name, row, column):
        self.send(f"robustness-{name}", {"click": {"pictures": [row, column]}})
        return self

    def words(self):
        return " ".join(element.value for element in self.test.markdown)


@pytest.fixture
def home_of_studies(studied, other_tiny, monkeypatch):
    """The home with one study of each kind, and the jobs that the page starts."""
    monkeypatch.setenv("AINA_HOME", str(studied.home))
    started = []
    monkeypatch.setattr(jobs, "start", lambda title, words: started.append(list(words)) or "1-1")
    return SimpleNamespace(**vars(studied), started=started)


# ── empty and failing ────────────────────────────────────────────────────────────────────────────


def test_a_home_without_galleries(home):
    page = Page()
    assert any("There is no gallery yet" in text for text in page.said("info"))


def test_no_study_yet(gallery):
    for kind in studies.KINDS:
        page = Page(kind, gallery="mine")
        assert "was run of this gallery yet" in page.said("info")[0]
        assert not page.said("error", "warning")


def test_retrieval_needs_an_index(home, photos):
    from aina_core.gallery import create

    create("mine", photos)
    page = Page("retrieval", gallery="mine")
    assert "is not indexed by any model" in page.said("info")[0]


def test_a_damaged_study_is_named_and_can_be_deleted(gallery):
    asked = studies.settle("recovery", "mine", ("tiny",), changes=("mirrored",), ks=(1,))
    made = studies.run(asked)
    (store.folder() / made.id / "results.json").write_text("{}")
    page = Page("recovery", gallery="mine")
    assert f"{made.id} is damaged" in page.said("error")[0]
    (store.folder() / made.id / "run.json").write_text("{")
    page = Page("recovery", gallery="mine")
    assert f"{made.id} is damaged" in page.said("warning")[0]
    page.click(f"Delete {made.id}".replace("-", "\\-"))
    assert not page.said("warning") and studies.studies() == ([], {})


def test_a_link_to_what_is_not_here(home_of_studies):
    page = Page(**{"robustness.run": "<b>gone</b>", "robustness.cell": '["x", 1]'})
    assert page.said("warning") == [
        "The link asks for '<b>gone</b>' as run, which is not here.",
        "The link asks for '[\"x\", 1]' as cell, which is no list of names.",
    ]
    assert page.cards("least")
    page = Page(**{"robustness.cell": '["x", "y"]'})
    assert page.said("warning") == ["The link asks for 'x, y' as cell, which is not here."]
    page = Page(**{"robustness.study": "dance", "robustness.shown": "x"})
    assert [("dance" in w, "'x'" in w) for w in page.said("warning")] == [
        (True, False),
        (False, True),
    ]


def test_images_that_could_not_be_read_are_named(gallery, embedder, photos):
    next(photos.rglob("1.jpg")).unlink()
    asked = studies.settle("recovery", "mine", ("tiny",), changes=("mirrored",), ks=(1,))
    studies.run(asked)
    page = Page("recovery", gallery="mine")
    assert page.test.expander[-1].label == "1 images could not be read and are left out"


# ── running ──────────────────────────────────────────────────────────────────────────────────────


def test_run_starts_the_command_that_it_shows(home_of_studies):
    page = Page()
    assert page.widget("multiselect", "robustness.models.modifications.photos").value == sorted(TWO)
    page.set("number_input", "robustness.originals.modifications", 7)
    page.click("Run")
    (words,) = home_of_studies.started
    assert words[:4] == ["study", "modifications", "--gallery", "photos"]
    assert words[words.index("--originals") + 1] == "7"
    from aina_core.cli import parser

    options = parser().parse_args(words)
    assert options.models == sorted(TWO) and len(options.changes) == 18 and options.seed == 0
    page = Page("retrieval")
    page.set("multiselect", "robustness.ks.retrieval", [1, 10])
    page.click("Run")
    options = parser().parse_args(home_of_studies.started[1])
    assert options.k == [1, 10] and options.originals is None


def test_what_cannot_be_run_is_said(home_of_studies):
    page = Page("recovery")
    page.set("multiselect", "robustness.models.recovery.photos", [])
    assert next(b for b in page.test.button if b.label == "Run").disabled


def test_while_a_job_runs_none_can_be_started(home_of_studies, monkeypatch):
    job = SimpleNamespace(active=True, id="1-1", title="x", done=1, total=2, state="running")
    monkeypatch.setattr(jobs, "jobs", lambda: [job])
    monkeypatch.setattr(jobs, "describe", lambda job: "1 of 2")
    page = Page()
    assert next(b for b in page.test.button if b.label == "Run").disabled
    assert any("appears here when it is done" in text for text in page.said("info"))


# ── modifications ────────────────────────────────────────────────────────────────────────────────


def test_a_normal_page(home_of_studies):
    run = home_of_studies.runs["modifications"]
    page = Page()
    page.has_sidebar()
    assert not page.said()
    assert run.summary.verdict in page.words().replace("\\", "")
    tables = [frame.value for frame in page.test.dataframe]
    table = next(one for one in tables if one.columns[0] == "model")
    assert set(table.columns[1:]) == set(TWO)
    assert {"ROC AUC", "images/s here", "peak memory (MB)"} <= set(table["model"])
    for name in ("table", "multiples", "least", "most"):
        assert page.component(f"robustness-{name}"), name


def test_a_cell_opens_its_best_and_worst_pairs(home_of_studies):
    run = home_of_studies.runs["modifications"]
    names = [p["id"] for p in Page().component("robustness-table")["pictures"]]
    page = Page().cell("table", names.index("other-tiny"), names.index("rotated/180"))
    assert json.loads(page.link["robustness.cell"]) == ["other-tiny", "rotated/180"]
    cosines = run.arrays["cosines"][1, :, CHANGES.index("rotated/180")]
    worst, best = page.cards("least"), page.cards("most")
    assert len(worst) == len(best) == 6
    order = np.argsort(cosines)
    assert [card["id"] for card in worst[::2]] == [run.images[at].id for at in order[:3]]
    assert [card["id"] for card in best[::2]] == [run.images[at].id for at in order[::-1][:3]]
    assert float(worst[1]["similarity"]) == pytest.approx(cosines.min(), abs=6e-4)
    assert float(best[1]["similarity"]) == pytest.approx(cosines.max(), abs=6e-4)
    again = Page(**{"robustness.cell": page.link["robustness.cell"]})
    assert again.cards("least") == worst


def test_a_click_that_is_no_cell_changes_nothing(home_of_studies):
    page = Page()
    before = page.cards("least")
    for click in ([0, 1], [3, 0], [0, 99], "x"):
        page.send("robustness-table", {"click": {"pictures": click}})
        assert page.cards("least") == before and "robustness.cell" not in page.link
    before = page.component("robustness-table")["figure"]
    page.set("button_group", "aina.robustness.shown", "median")
    assert page.component("robustness-table")["figure"] != before
    assert page.link["robustness.shown"] == "median"


def test_a_pair_goes_to_other_pages_as_query_and_reference(home_of_studies):
    page = Page()
    original, version = page.cards("least")[:2]
    page.act("least", version["id"], "compare")
    assert page.test.title[0].value == "Compare"
    assert page.link["reference"] == original["id"]
    kept = read_image(uploads.query(page.link["upload"]))
    source = read_image(open_gallery("photos").root / original["id"])
    change = version["id"].removeprefix(f"{original['id']} · ")
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(apply(change, source)))
    page = Page()
    page.act("least", original["id"], "search")
    assert page.test.title[0].value == "Search" and page.link["image"] == original["id"]


# ── recovery and retrieval ───────────────────────────────────────────────────────────────────────


def test_versions_that_were_missed_are_shown_with_what_came_instead(home_of_studies):
    run = home_of_studies.runs["recovery"]
    page = Page("recovery")
    assert not page.said("error", "warning")
    assert page.component("robustness-curves") and page.component("robustness-recovered")
    recovered = run.arrays["recovered"][0]
    at = int(np.argsort(recovered.sum(axis=1), kind="stable")[0])
    shown = page.cards(f"image-{at}")
    assert shown[0]["id"] == run.images[at].id
    assert shown[0]["mark"] == f"{recovered[at].sum()} of 5"
    missed = [card["label"] for card in shown if card.get("mark") == "missed"]
    names = [name for name, hit in zip(run.settings.changes, recovered[at], strict=True) if not hit]
    assert missed == names
    instead = [card for card in shown if card.get("mark") == "found instead"]
    assert len(instead) == len(missed)
    page.set("selectbox", "aina.robustness.model", "other-tiny")
    assert page.link["robustness.model"] == "other-tiny"


def test_when_everything_is_found_it_is_said(gallery):
    asked = studies.settle("recovery", "mine", ("tiny",), changes=("reducing-color",), ks=(1,))
    run = studies.run(asked)
    page = Page("recovery", gallery="mine")
    if run.arrays["recovered"].all():
        assert page.test.success[0].value == "Every version of every image was found again."
    else:
        assert not page.test.success


def test_confusion_opens_queries_beside_neighbours_of_another_label(home_of_studies):
    run = home_of_studies.runs["retrieval"]
    page = Page("retrieval")
    assert not page.said("error", "warning")
    worst = run.results["confusion"]["tiny"][0]
    assert {c["label"] for c in page.cards("examples")} == {worst["label"], worst["neighbour"]}
    names = [p["id"] for p in page.component("robustness-confusion")["pictures"]]
    place = names.index("brick")
    page.cell("confusion", place, 10 + place)
    assert json.loads(page.link["robustness.labels"]) == ["brick", "brick"]
    first, second = page.cards("examples")[:2]
    assert (first["label"], first["mark"], second["label"]) == ("brick", "query", "brick")
    assert "Do the models see the same?" in [s.value for s in page.test.subheader]
    page.act("examples", second["id"], "compare")
    assert page.link["image"] == first["id"] and page.link["reference"] == second["id"]


# ── earlier studies ──────────────────────────────────────────────────────────────────────────────


def test_an_earlier_study_is_chosen_compared_and_deleted(home_of_studies):
    first = home_of_studies.runs["recovery"]
    second = studies.run(settings("recovery", models=("tiny",), originals=6, seed=3))
    page = Page("recovery")
    assert second.summary.verdict in page.words().replace("\\", "")
    page.set("selectbox", "aina.robustness.run", first.id)
    assert first.summary.verdict in page.words().replace("\\", "")
    assert page.link["robustness.run"] == first.id
    page.set("selectbox", "aina.robustness.against", second.id)
    assert "The originals differ: 6 and 20." in page.words().replace("\\", "")
    table = page.test.dataframe[-1].value
    row = table[(table["figure"] == "precision@5") & (table["of"] == "all")].iloc[0]
    mean = first.results["models"]["tiny"]["5"]["precision"]["mean"]
    assert row["this one"] == mean
    page.set("selectbox", "aina.robustness.run", second.id)
    next(b for b in page.test.button if b.label == "Delete this study").click()
    page.run()
    assert [one.id for one in studies.studies()[0] if one.id == second.id] == []


# ── pictures made on the fly ─────────────────────────────────────────────────────────────────────


def test_versions_are_served_as_they_are_asked_for(home_of_studies):
    st.cache_resource.clear()
    client = TestClient(Starlette(routes=serve.ROUTES))
    gallery = home_of_studies.gallery
    record = gallery.catalogue.image("brick/1.jpg")
    for change in ("bordered/#000", "mirrored", "b/w"):
        answer = client.get(serve.version_url("photos", record.sha256, change))
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.int16)
        made = np.asarray(apply(change, read_image(gallery.path(record))), np.int16)
        assert shown.shape == made.shape and abs(shown - made).mean() < 4
    for wrong in (
        serve.version_url("photos", record.sha256, "melted"),
        serve.version_url("photos", "0" * 64, "mirrored"),
        serve.version_url("none", record.sha256, "mirrored"),
    ):
        assert client.get(wrong).status_code == 404
