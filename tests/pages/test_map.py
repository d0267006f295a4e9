"""The Map page: what it shows and starts, what a click and a lasso do, and what can fail."""

import base64
import dataclasses
import json

import numpy as np
import pytest

from aina_core import images, jobs
from aina_core.demo import PHOTOGRAPHS
from aina_core.gallery import Annotation, create, open_gallery, update, uploads
from aina_core.numbers import decimal_text
from aina_core.projection import Settings, project
from aina_core.search.searcher import Searcher
from pages.map.cache import open_map
from tests.support.app import CHELSEA, LITE0, App
from tests.support.process import wait_until

MAP = "map"
KEY = f"map-{LITE0}"
EVERYTHING = [[-99, -99], [99, -99], [99, 99], [-99, 99]]


class Page(App):
    """The Map page as one person sees it."""

    def __init__(self, gallery="demo", method="pca", **link):
        settings = {"map.method": method} if method else {}
        super().__init__(MAP, gallery=gallery, **settings, **link)

    @property
    def map(self):
        return self.component("map-")

    @property
    def figure(self):
        return json.loads(self.map["figure"])

    def trace(self, name):
        return next(t for t in self.figure["data"] if t.get("name", "").startswith(name))

    def lasso(self, corners):
        self.send(KEY, {"select": {"corners": corners, "points": self.map["points"]}})
        return self.run()

    @property
    def chosen(self):
        sent = self.component("map-selected")
        return sent and [card["id"] for card in sent["cards"]]


def position(star):
    """Where a trace of one point stands."""
    axes = (star["x"], star["y"])
    return [np.frombuffer(base64.b64decode(a["bdata"]), a["dtype"])[0] for a in axes]


@pytest.fixture
def started(monkeypatch):
    """The jobs that were started, which do not run."""
    begun = []
    monkeypatch.setattr(jobs, "start", lambda title, words: begun.append((title, words)) or "id")
    return begun


def test_the_map_of_the_demo(demo_gallery):
    page = Page(image=CHELSEA)
    assert not page.said("error", "warning")
    assert page.map["count"] == 323 and page.map["dims"] == 2
    assert page.trace("chelsea")["name"] == "chelsea (19)"
    assert sum(t["meta"].get("code") is not None for t in page.figure["data"] if "meta" in t) == 9
    made = project(open_gallery("demo"), LITE0, Settings(method="pca"))
    place = made.coordinates[made.ids.index(CHELSEA)]
    star = page.trace("query")
    np.testing.assert_allclose(position(star), place, rtol=1e-5)
    captions = " ".join(element.value for element in page.test.caption)
    assert f"{decimal_text(made.trustworthiness)} trustworthiness" in captions


def test_what_is_not_computed_is_started_and_pca_stands_in(demo_gallery):
    page = Page(method="tsne", **{"map.perplexity": "7"})
    (job,) = (job for job in jobs.jobs() if job.arguments[0] == "map")
    assert any("t-SNE is being computed" in said for said in page.said("info"))
    assert job.title.startswith(f"Map demo under {LITE0}: t-SNE, 2-D, perplexity 7")
    assert page.map["count"] == 323 and "method=pca" in page.map["points"]
    wait_until(lambda: not any(job.active for job in jobs.jobs()))
    assert "method=tsne" in page.run().map["points"] and not page.said()


def test_settings_of_a_link_that_make_no_sense(demo_gallery):
    odd = {
        "map.dims": "x",
        "map.seed": "-1",
        "map.colour": "<b>",
        "map.view": "?",
        "map.clusters": "",
    }
    page = Page(**odd, **{"map.min-dist": "nan", "map.neighbours": "1e9"})
    assert page.map["dims"] == 2 and not page.said("error")


@pytest.mark.parametrize("colour", ["label", "similarity", "k-means", "hdbscan", "none"])
@pytest.mark.parametrize("dims", ["2", "3"])
def test_colours(demo_gallery, colour, dims):
    page = Page(**{"map.colour": colour, "map.dims": dims})
    assert page.map["dims"] == int(dims) and not page.said("error")
    assert (page.map["codes"] is None) == (colour in ("similarity", "none"))


def test_relative_distances(demo_gallery):
    page = Page(image=CHELSEA, threshold="0.5", **{"map.view": "distance"})
    sent = page.component("around-")
    assert page.map is None and len(sent["pictures"]) > 3
    hits = next(t for t in json.loads(sent["figure"])["data"] if t.get("name") == "hits")
    assert len(hits["text"]) == len(sent["pictures"])


def test_a_click_makes_the_query_everywhere(demo_gallery):
    page = Page(image=CHELSEA)
    found = open_map(Searcher(open_gallery("demo"), LITE0), Settings(method="pca"))
    page.send(KEY, {"click": {"point": 5, "points": page.map["points"]}})
    chosen = found.projection.ids[found.points.rows[5]]
    assert page.run().link["image"] == chosen
    page.visit("search")
    assert page.run().link["image"] == chosen


def test_what_the_browser_says_is_checked(demo_gallery):
    page = Page(image=CHELSEA)
    points = page.map["points"]
    for value in (
        {"click": {"point": 323, "points": points}},
        {"click": {"point": "1", "points": points}},
        {"click": {"point": 1, "points": "/map/points?another"}},
        {"select": {"corners": [[0, 0], [1, 1]], "points": points}},
        {"select": {"corners": [[0, 0], [1, 1], ["x", 2]], "points": points}},
        {"select": {"corners": [[0, 0], [1, 1], [1, float("inf")]], "points": points}},
    ):
        page.send(KEY, value)
        assert page.link["image"] == CHELSEA and page.chosen is None


def test_a_lasso_shows_what_is_inside(demo_gallery):
    page = Page(image=CHELSEA).lasso(EVERYTHING)
    assert len(page.chosen) == 24 and page.map["selected"]
    searcher = Searcher(open_gallery("demo"), LITE0)
    assert page.chosen == sorted(searcher.ids)[:24]
    page.click("Clear")
    assert page.chosen is None and page.map["selected"] is None


def test_a_selection_becomes_a_gallery(home, photos, embedder, started):
    update(create("mine", photos), embedder)
    page = Page("mine", model="tiny")
    page.test.session_state["aina.selection"] = ("mine", ("brick/1.jpg", "camera/1.jpg"))
    page.run()
    page.set("text_input", "map.gallery.name", "mine").click("Make it")
    assert any("There is a gallery mine already" in said for said in page.said("error"))
    page.set("text_input", "map.gallery.name", "some of it").click("Make it")
    made = open_gallery("some of it")
    files = sorted(p.relative_to(made.root).as_posix() for p in made.root.rglob("*.*"))
    assert files == ["brick/1.jpg", "camera/1.jpg"]
    assert started[-1][1][:2] == ["index", str(made.root)]


def test_an_upload_is_placed(demo_gallery):
    name = uploads.keep_query(PHOTOGRAPHS[3].path().read_bytes())
    page = Page(upload=name)
    star = page.trace("query")
    assert np.isfinite(position(star)).all() and not page.said("error")
    assert images.decode(uploads.query(name)).width  # it is the upload that was placed


def test_a_gallery_without_images(home, tmp_path, embedder):
    (tmp_path / "none").mkdir()
    update(create("mine", tmp_path / "none"), embedder)
    page = Page("mine", model="tiny")
    assert any("no images yet" in said for said in page.said("info")) and page.map is None


def test_a_job_of_other_settings_or_one_that_failed(demo_gallery, monkeypatch):
    known, begun = [], []

    def start(title, words):
        begun.append(list(words))
        name = f"1-{len(begun)}"
        job = jobs.Job(name, title, tuple(words), "running", "umap", 1, 9, None, 0.0, "")
        known.insert(0, job)
        return name

    monkeypatch.setattr(jobs, "start", start)
    monkeypatch.setattr(jobs, "jobs", lambda: known)
    for seed in ("5", "6", "5"):
        Page(method="umap", **{"map.seed": seed})
    assert [words[words.index("--seed") + 1] for words in begun] == ["5", "6"]
    known[0] = dataclasses.replace(known[0], state="failed", message="no space left")
    page = Page(method="umap", **{"map.seed": "6"})
    assert any("no space left" in said for said in page.said("warning"))
    assert len(begun) == 2 and page.map is not None


@pytest.mark.parametrize(
    "setting",
    [{"map.colour": "column:modification"}, {"map.view": "thumbnails"}, {"map.clusters": "3"}],
    ids=str,
)
def test_other_ways_to_look_at_it(demo_gallery, setting):
    page = Page(**{"map.colour": "k-means", **setting})
    assert page.map["pictures"] == ("map.view" in setting)
    filled = [trace for trace in page.figure["data"] if "meta" in trace]
    assert len(filled) == {"3": 3}.get(setting.get("map.clusters"), len(filled)) > 1
    assert setting.items() <= page.link.items()


def test_points_and_neighbours_are_coloured_on_one_scale(demo_gallery):
    page = Page(image=CHELSEA, **{"map.colour": "similarity"})
    scales = {
        (marker["cmin"], marker["cmax"])
        for marker in (page.trace("images")["marker"], page.trace("neighbours")["marker"])
    }
    assert len(scales) == 1 and -1 <= scales.pop()[0] < 1


def test_what_was_said_of_an_image_changes_every_address(home, photos, embedder):
    gallery = create("mine", photos)
    update(gallery, embedder)
    before = Page("mine", model="tiny").map
    gallery.catalogue.annotate([("brick/1.jpg", Annotation("wall"))])
    after = Page("mine", model="tiny").map
    for name in ("points", "codes", "similarities", "describe"):
        assert before[name] != after[name], name
