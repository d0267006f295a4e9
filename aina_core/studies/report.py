"""A stored study as one HTML file that needs nothing else: words, tables, figures.

Texts are escaped; the figures are plotly's, whose library is in the file once, so that it opens
without a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from aina_core.studies.compare import said
from aina_core.studies.kind import Run, Table
from aina_core.studies.kinds import KINDS, model_table
from aina_core.studies.published import published_table
from aina_core.studies.shown import difference_table, transposed

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PAGE = """
{%- macro table(given) -%}
<div class='wide'><table><tr>{% for name in given[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{% for line in given[1] %}<tr>{% for cell in line %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% endmacro -%}
<!doctype html>
<html lang='en'><head><meta charset='utf-8'><title>{{ title }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.verdict { font-size: 1.1rem; border-left: 4px solid #0072b2; padding: .3rem 0 .3rem 1rem; }
.note { color: #5b6470; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { border-bottom: 1px solid #d9dde2; padding: .25rem .6rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
</style><script>{{ library | safe }}</script></head><body>
<h1>{{ title }}</h1><p class='note'>{{ kind.question }}</p>
<p class='verdict'>{{ run.summary.verdict }}</p>
<h2>Models</h2>{{ table(models) }}
<p class='note'>In brackets: 95% intervals by the bootstrap over queries. What a model costs was
measured in the same run; memory is the whole process's.</p>
{% for section in kind.sections(run) %}
<h2>{{ section.title }}</h2>
{% if section.figure %}{{ drawn(section.figure, section.name) | safe }}{% endif %}
{% if section.table %}{{ table(section.table) }}{% endif %}
{% if section.note %}<p class='note'>{{ section.note }}</p>{% endif %}
{% endfor %}
{% if run.results.differences %}
<h2>Differences of models</h2>{{ table(differences) }}
<p class='note'>Paired over the same queries; p by flipping signs, two-sided; by Holm where many
were tested at once.</p>
{% endif %}
<h2>Published beside ours</h2>
{% if published[1] %}{{ table(published) }}{% else %}
<p class='note'>The source projects published no such figure of these models.</p>
{% endif %}
<h2>How it was done</h2>{{ table(protocol) }}
</body></html>
"""


def report(run: Run) -> str:
    """Return the report of a study: a whole HTML document."""
    from plotly.offline import get_plotlyjs

    page = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    kind = KINDS[run.settings.kind]
    return page.from_string(_PAGE).render(
        run=run,
        kind=kind,
        title=f"{kind.name.capitalize()}: {run.settings.gallery}",
        library=get_plotlyjs(),
        drawn=_drawn,
        models=transposed(model_table(run)),
        differences=difference_table(run),
        published=published_table(run),
        protocol=_protocol(run),
    )


def _protocol(run: Run) -> Table:
    """How the study was done: settings, gallery, libraries, weights, and what was left out."""
    known, settings = run.summary, run.settings.as_dict()
    lines = [[name, said(value)] for name, value in settings.items() if value != []]
    lines += [
        ["images", f"{len(run.images):,}"],
        ["gallery's folder", str(known.gallery.get("folder", ""))],
        ["gallery's generation", said(known.gallery.get("generation", {}))],
        ["finished", known.created],
        ["took", f"{known.seconds:.0f} s"],
        ["libraries", said(known.versions)],
        ["id", known.id],
    ]
    for model, fingerprint in known.models.items():
        lines.append([f"{model}: weights", str(fingerprint.get("weights", ""))])
    lines += [
        [f"could not be read: {one['id']}", one["reason"]] for one in run.results.get("failed", [])
    ]
    return ["what", "how"], lines


def _drawn(figure: go.Figure, name: str) -> str:
    """Return a figure as HTML; its texts are escaped where it is made."""
    from plotly.io import to_html

    figure.update_layout(font={"color": "#1b1f24"}, template="plotly_white")
    config = {"displaylogo": False, "responsive": True}
    return to_html(figure, config, include_plotlyjs=False, full_html=False, div_id=f"figure-{name}")
