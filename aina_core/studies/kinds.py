"""The kinds of study. To add one, write its file and add a line to the list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, fields

from aina_core.studies import modifications, recovery, retrieval
from aina_core.studies.kind import Kind, Row, Run, Table
from aina_core.studies.shown import COST_HEADER, cost_cells

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        modifications.KIND,
        recovery.KIND,
        retrieval.KIND,
    )
}


def rows(run: Run) -> list[Row]:
    """Return all figures of a study, model by model."""
    found: list[Row] = []
    results = run.results
    for model in results["models"]:
        found += KINDS[run.settings.kind].rows(model, results)
        cost = results["costs"][model]
        found += [
            Row(model, "cost", 0, name, cost[name])
            for name in ("dim", "bytes_per_vector", "images_per_second", "peak_memory")
            if cost.get(name) is not None
        ]
    for test in results["differences"]:
        first, second = test["models"]
        what = f"{test.get('change', 'all')} − {second}"
        k, name = test.get("k", 0), test["figure"]
        low, high = test["low"], test["high"]
        found.append(Row(first, what, k, f"difference of {name}", test["difference"], low, high))
        found.append(Row(first, what, k, f"p of {name}", test["p"]))
    return found


def figure_table(run: Run) -> tuple[list[str], Iterator[list[object]]]:
    """Return all figures of a study as a table: its header, and its rows; what is missing is ""."""
    header = [field.name for field in fields(Row)]
    return header, (["" if v is None else v for v in astuple(row)] for row in rows(run))


def model_table(run: Run) -> Table:
    """Return the table of the models: what they reach, and what they cost."""
    header, lines = KINDS[run.settings.kind].table(run)
    costs = [cost_cells(run.results["costs"][line[0]]) for line in lines]
    return [*header, *COST_HEADER], [[*a, *b] for a, b in zip(lines, costs, strict=True)]
