"""A stored study as one HTML file that needs nothing else: words, tables, figures.

Texts are escaped; the figures are plotly's, whose library is in the file once, so that it opens
without a network.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aina_core.studies import shown as drawing
from aina_core.studies.settings import KINDS
from aina_core.studies.store import Run
from aina_core.studies.verdict import by_separation

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.verdict { font-size: 1.1rem; border-left: 4px solid #0072b2; padding: .3rem 0 .3rem 1rem; }
.note { color: #5b6470; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { border-bottom: 1px solid #d9dde2; padding: .25rem .6rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
"""
_MOST_LABELS = 100


def report(run: Run) -> str:
    """Return the report of a study.

    Args:
        run: the study.

    Returns:
        A whole HTML document.
    """
    return "".join(_document(run))


def _document(run: Run) -> Iterator[str]:
    from plotly.offline import get_plotlyjs

    kind, summary = run.settings.kind, run.summary
    title = f"{kind.capitalize()}: {run.settings.gallery}"
    yield f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{_text(title)}"
    yield f"</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>\n"
    yield f"<h1>{_text(title)}</h1><p class='note'>{_text(KINDS[kind])}</p>\n"
    yield f"<p class='verdict'>{_text(summary.verdict)}</p>\n"
    yield "<h2>Models</h2>" + _table(drawing.turned(drawing.model_table(run)))
    yield (
        "<p class='note'>In brackets: 95% intervals by the bootstrap over queries. What a model "
        "costs was measured in the same run; memory is the whole process's.</p>"
    )
    yield from {
        "modifications": _modifications,
        "recovery": _recovery,
        "retrieval": _retrieval,
    }[kind](run)
    if run.results["differences"]:
        yield "<h2>Differences of models</h2>" + _table(drawing.difference_table(run))
        yield (
            "<p class='note'>Paired over the same queries; p by flipping signs, two-sided; by Holm "
            "where many were tested at once.</p>"
        )
    header, lines = drawing.published_table(run)
    yield "<h2>Published beside ours</h2>"
    yield (
        _table((header, lines))
        if lines
        else ("<p class='note'>The source projects published no such figure of these models.</p>")
    )
    yield "<h2>How it was done</h2>" + _table(_settings(run))
    yield "</body></html>\n"


def _modifications(run: Run) -> Iterator[str]:
    for shown, title in (("auc", "Separation"), ("median", "Median cosine")):
        yield f"<h2>{title} of every modification</h2>"
        yield _figure(drawing.modification_table(run, shown), shown)
    for number, model in enumerate(by_separation(run.results)):
        yield f"<h2>Similarities under {_text(model)}</h2>"
        yield _figure(drawing.multiples(run, model), f"multiples-{number}")
        yield _table(drawing.change_table(run, model))


def _recovery(run: Run) -> Iterator[str]:
    yield "<h2>At every k</h2>" + _figure(drawing.curves(run), "curves")
    yield "<h2>Which versions are found again</h2>"
    yield _figure(drawing.recovered_bars(run), "recovered")
    count = len(run.settings.changes)
    header = ["model", *(f"{n} of {count}" for n in range(count, -1, -1))]
    by_count = run.results["by_count"].items()
    yield "<h2>Image by image: how many versions were found again</h2>"
    yield _table((header, [[m, *(f"{n:,}" for n in counts[::-1])] for m, counts in by_count]))


def _retrieval(run: Run) -> Iterator[str]:
    if len(run.settings.ks) > 1:
        yield "<h2>At every k</h2>" + _figure(drawing.curves(run), "curves")
    for number, model in enumerate(run.settings.models):
        header, lines = drawing.label_table(run, model)
        more = len(lines) - _MOST_LABELS
        note = f"<p class='note'>{more:,} more labels stand in the CSV.</p>" if more > 0 else ""
        yield f"<h2>Labels under {_text(model)}, the worst first</h2>"
        yield _table((header, lines[:_MOST_LABELS])) + note
        yield "<h2>Which label the neighbours have</h2>"
        yield _figure(drawing.confusion_figure(run, model)[0], f"confusion-{number}")
    header, lines = drawing.agreement_table(run)
    if lines:
        yield "<h2>Do the models see the same?</h2>" + _table((header, lines))


def _settings(run: Run) -> drawing.Table:
    known, settings = run.summary, run.settings.as_dict()
    lines = [[name, _said(value)] for name, value in settings.items() if value != []]
    lines += [
        ["images", f"{len(run.images):,}"],
        ["gallery's folder", str(known.gallery.get("folder", ""))],
        ["gallery's generation", _said(known.gallery.get("generation", {}))],
        ["finished", known.created],
        ["took", f"{known.seconds:.0f} s"],
        ["libraries", _said(known.versions)],
        ["id", known.id],
    ]
    for model, fingerprint in known.models.items():
        lines.append([f"{model}: weights", str(fingerprint.get("weights", ""))])
    lines += [
        [f"could not be read: {one['id']}", one["reason"]] for one in run.results.get("failed", [])
    ]
    return ["what", "how"], lines


def _said(value: Any) -> str:
    if value is None:
        return "all"
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(table: drawing.Table) -> str:
    header, lines = table
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in line) + "</tr>\n" for line in lines
    )
    return f"<div class='wide'><table><tr>{head}</tr>\n{body}</table></div>\n"


def _figure(figure: go.Figure, name: str) -> str:
    from plotly.io import to_html

    figure.update_layout(font={"color": "#1b1f24"}, template="plotly_white")
    config = {"displaylogo": False, "responsive": True}
    return to_html(figure, config, include_plotlyjs=False, full_html=False, div_id=f"figure-{name}")


def _text(text: object) -> str:
    return html.escape(str(text))
