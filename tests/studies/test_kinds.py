"""A kind of study is added in one place, and everything else reads it there."""

import csv
import io
import json

import numpy as np
import pytest

from aina_core import jobs, studies
from aina_core.csv_files import csv_text
from aina_core.gallery import Annotation
from aina_core.studies import store
from aina_core.studies.kind import Found, Kind, Row, Section
from aina_core.studies.kinds import KINDS, figure_table
from tests.pages.test_robustness import Page


def study_norms(settings, searchers, *, progress, stop):
    models = {one.model: {"mean": float(np.mean(one.norms))} for one in searchers}
    results = {"models": models, "differences": [], "asked": list(settings.ks)}
    return Found(results, {}, [])


def table(run):
    return ["model", "mean"], [[m, f"{v['mean']:.3f}"] for m, v in run.results["models"].items()]


NORMS = Kind(
    name="norms",
    title="Lengths of vectors",
    question="How long are the vectors?",
    about="Measure the vectors before they are scaled.",
    table=table,
    rows=lambda model, results: [Row(model, "all", 0, "mean", results["models"][model]["mean"])],
    sections=lambda run: [Section("<b>All lengths", table=table(run), note="Nothing & else.")],
    verdict=lambda results: "They have lengths.",
    of_gallery=study_norms,
    ks=(2, 4),
)


@pytest.fixture
def norms(monkeypatch):
    """A fourth kind."""
    monkeypatch.setitem(KINDS, NORMS.name, NORMS)


def test_a_fourth_kind_has_its_command_settings_report_and_table(norms, gallery, aina, tmp_path):
    about = " ".join(aina("study", "--help").out.split())
    assert "norms Measure the vectors before they are scaled." in about
    options = " ".join(aina("study", "norms", "--help").out.split())
    assert "-k K [K ...] default: 2 4" in options and "--changes" not in options
    words = ("study", "norms", "--gallery", "mine", "--models", "tiny")
    report = tmp_path / "report.html"
    made = aina(*words, "--html", report, "--json").json
    assert made["verdict"] == "They have lengths." and made["asked"] == [2, 4]
    record = json.loads((store.folder() / made["id"] / "run.json").read_text())
    assert record["settings"]["kind"] == "norms" and record["settings"]["ks"] == [2, 4]
    run = studies.load(made["id"])
    assert run.settings == studies.settle("norms", "mine", ("tiny",))
    header, rows = figure_table(run)
    assert dict(zip(header, next(rows), strict=True))["figure"] == "mean"
    text = report.read_text()
    assert "<h2>&lt;b&gt;All lengths</h2>" in text and "Nothing &amp; else." in text
    compared = aina("study", "compare", run.id, run.id).out
    assert "Settings, images and models are the same." in compared and "tiny, all, mean" in compared


def test_a_fourth_kind_is_on_the_page(norms, gallery, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda title, words: started.append((title, words)))
    page = Page("norms", gallery="mine")
    assert "How long are the vectors?" in [caption.value for caption in page.test.caption]
    assert page.widget("multiselect", "robustness.ks.norms").value == [2, 4]
    page.click("Run")
    ((title, words),) = started
    assert title == "Lengths of vectors: mine" and words[:2] == ["study", "norms"]
    studies.run(studies.settle("norms", "mine", ("tiny",)))
    page = Page("norms", gallery="mine")
    assert not page.said("error", "warning") and "They have lengths" in page.words()
    assert "\\<b\\>All lengths" in [one.value for one in page.test.subheader]


def test_a_label_that_looks_like_a_formula_is_text_in_every_table(gallery, aina, tmp_path):
    ids = sorted(gallery.catalogue.images())
    labels = dict.fromkeys(ids[:6], "=1+1") | dict.fromkeys(ids[6:], "plain")
    gallery.catalogue.annotate({key: Annotation(name) for key, name in labels.items()}.items())
    path = tmp_path / "figures.csv"
    words = ("study", "retrieval", "--gallery", "mine", "--models", "tiny", "--csv", path)
    made = aina(*words, "--json").json
    downloaded = csv_text(*figure_table(studies.load(made["id"])))
    for text in (path.read_text(), downloaded):
        named = {row["what"] for row in csv.DictReader(io.StringIO(text))}
        assert "'=1+1" in named and "=1+1" not in named and "plain" in named
