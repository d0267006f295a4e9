"""What a study draws: its figures, and the report, which is one file and shows text as text."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from aina_core import figures, studies
from aina_core.gallery import create, update
from aina_core.numbers import decimal_text
from aina_core.studies import hits, modifications, report, retrieval, shown
from aina_core.studies.kinds import model_table
from aina_core.studies.published import published_table
from tests.support.studies import CHANGES, TWO


class Page(HTMLParser):
    """What a report shows and asks for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.asked, self.cells, self._inside = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._inside = tag
        self.asked += [v for name, v in attributes if name in ("src", "href", "srcset")]

    def handle_data(self, data):
        if self._inside in ("td", "th", "p", "h1", "h2", "title"):
            self.cells.append(data.strip())


@pytest.mark.parametrize("kind", studies.KINDS)
def test_a_report_is_one_file_with_words_tables_and_figures(studied, kind):
    run = studied.runs[kind]
    text = report.report(run)
    page = Page(text)
    assert page.asked == [], "it asks for nothing"
    assert text.count("plotly.js v") == 1, "the library, once"
    assert run.summary.verdict in page.cells
    drawn = re.findall(r'id="figure-([\w-]+)"', text)
    expected = {
        "modifications": ["auc", "median", "multiples-0", "multiples-1"],
        "recovery": ["curves", "recovered"],
        "retrieval": ["curves", "confusion-0", "confusion-1"],
    }
    assert drawn == expected[kind]
    for model in TWO:
        assert model in page.cells
    assert {"dimension", "images/s here", "peak memory (MB)"} <= set(page.cells)
    assert run.id in page.cells and "seed" in page.cells
    assert report.report(run) == text


def test_names_are_text_in_a_report(home, embedder, pictures, tmp_path):
    folder = tmp_path / "<b>odd"
    for number, picture in enumerate(pictures[:6]):
        path = folder / ("<script>alert(1)<script>" if number < 3 else "a&b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    update(create("odd", folder), embedder)
    run = studies.run(studies.settle("retrieval", "odd", ("tiny",), ks=(2,)))
    text = report.report(run)
    body = text[text.index("<body>") :]
    assert "<script>alert" not in body and "&lt;script&gt;alert(1)&lt;script&gt;" in body
    assert "<b>odd" not in body and "a&amp;b" in body


def test_the_heat_table_shows_the_figures(studied):
    run = studied.runs["modifications"]
    order = modifications.by_separation(run.results)
    for figure in modifications.SHOWN:
        (trace,) = modifications.heat_table(run, figure).data
        for row, model in enumerate(order):
            parts = run.results["models"][model]["modifications"]
            assert trace.z[row].tolist() == [parts[change][figure] for change in CHANGES]
            assert list(trace.text[row]) == [
                decimal_text(parts[change][figure]) for change in CHANGES
            ]
        assert trace.meta["rows"] == [0, 1] and trace.meta["columns"] == [2, 3, 4, 5]


def test_small_multiples_are_histograms_of_each_change(studied):
    run = studied.runs["modifications"]
    figure = modifications.multiples(run, "tiny")
    assert len(figure.data) == 2 * len(CHANGES)
    titles = [figure.layout[f"xaxis{n or ''}"].title.text for n in (None, 2, 3, 4)]
    assert titles == list(CHANGES)
    own = figure.data[1]
    values = run.arrays["cosines"][0, :, 0]
    peak = own.x[int(np.argmax(own.y))]
    assert abs(values - peak).min() < own.x[1] - own.x[0] and max(own.y) == 1


def test_curves_have_the_means_their_intervals_and_the_ideal(studied):
    run = studied.runs["recovery"]
    lines = hits.curves(run).data
    assert [line.name for line in lines] == ["ideal", *TWO] * 3
    ideal, first = lines[0], lines[1]
    assert list(ideal.y) == [1, 1, 1] and ideal.line.dash == "dash"
    parts = [run.results["models"]["tiny"][k]["precision"] for k in ("1", "3", "5")]
    assert list(first.y) == [part["mean"] for part in parts]
    np.testing.assert_allclose(first.error_y.array, [p["high"] - p["mean"] for p in parts])


def test_confusion_rows_are_shares_of_a_labels_neighbours(studied):
    run = studied.runs["retrieval"]
    shares, kept = retrieval.confusion(run, "tiny")
    assert len(kept) == 10
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    few, kept = retrieval.confusion(run, "tiny", most=3)
    assert few.shape == (3, 3) and (few.sum(axis=1) <= 1 + 1e-9).all()
    names = run.results["label_names"]
    worst = run.results["confusion"]["tiny"][0]
    places = [names.index(worst["label"]), names.index(worst["neighbour"])]
    assert shares[places[0], places[1]] == pytest.approx(worst["share"], abs=1e-6)


def test_tables_have_costs_beside_every_model(studied):
    for run in studied.runs.values():
        header, lines = model_table(run)
        assert header[-4:] == shown.COST_HEADER and {line[0] for line in lines} == set(TWO)
        turned = shown.transposed((header, lines))
        assert turned[0][0] == "model" and [line[0] for line in turned[1]] == header[1:]
    assert shown.cost_line({"reason": "gone"}) == "cost not measured"


def test_every_modification_is_listed_beside_random_pairs(studied):
    run = studied.runs["modifications"]
    header, lines = modifications.change_table(run, "tiny")
    assert [line[0] for line in lines] == [*CHANGES, "all", "random pairs"]
    part = run.results["models"]["tiny"]["modifications"]["mirrored"]
    assert lines[0][header.index("median cosine")].startswith(decimal_text(part["median"]))
    assert lines[0][header.index("ROC AUC")].startswith(decimal_text(part["auc"]))
    base = run.results["models"]["tiny"]["baseline"]
    assert lines[-1][header.index("mean")].startswith(decimal_text(base["mean"]))
    header, lines = shown.agreement_table(studied.runs["retrieval"])
    assert len(lines) == 1 and header[3:] == [f"{n} shared" for n in range(5, -1, -1)]
    assert shown.agreement_table(run)[1] == []


def test_published_figures_are_listed_beside_ours(studied):
    run = studied.runs["recovery"]
    assert published_table(run)[1] == []
    one = {"ours": "tiny", "change": "", "figure": "precision", "k": 3, "value": 0.989}
    with_one = {**one, "source": "somebody", "protocol": "otherwise"}
    changed = studies.Run(run.summary, {**run.results, "published": [with_one]}, [], {})
    ((line),) = published_table(changed)[1]
    ours = run.results["models"]["tiny"]["3"]["precision"]
    assert line[3].startswith(decimal_text(ours["mean"])) and line[4] == "0.989"
    assert line[-1] == "otherwise"


def test_names_in_figures_are_text():
    made = figures.heat_table(
        np.eye(2), ["<b>x", "y"], ["<i>z", "w"], low=0, high=1, notes=["<u>n", ""]
    )
    assert made.layout.yaxis.ticktext[0] == "&lt;b&gt;x<br><sub>&lt;u&gt;n</sub>"
    assert made.layout.xaxis.ticktext[0] == "&lt;i&gt;z"
