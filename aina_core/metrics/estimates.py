"""Figures with their intervals, as JSON values: the results of studies and trainings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.metrics import Over


def spread(values: np.ndarray, over: Over, seed: int) -> dict[str, Any]:
    """Return median, mean and standard deviation of similarities, each with its interval.

    Args:
        values: (q,) or (q, c), of queries or of pairs.
        over: the queries or pairs that they belong to.
        seed: of the bootstrap.

    Returns:
        {"median", "mean", "std", "n", "intervals": {"median": [low, high], "mean", "std"}}.
    """
    samples = {
        "median": metrics.bootstrap_median(values, over, seed=seed),
        "mean": metrics.bootstrap_mean(values, over, seed=seed),
        "std": metrics.bootstrap_std(values, over, seed=seed),
    }
    numbers = np.asarray(values, np.float64)
    return {
        "median": number(float(np.median(numbers))),
        "mean": number(float(numbers.mean())),
        "std": number(float(numbers.std())),
        "n": int(numbers.size),
        "intervals": {name: ends(found) for name, found in samples.items()},
    }


def mean(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Return the mean over queries of a figure of each query, with its interval.

    Args:
        values: (q,), at least one.
        seed: of the bootstrap.

    Returns:
        {"mean", "std", "low", "high", "std_interval", "n"}; low and high are of the mean.
    """
    over = Over(len(values))
    low, high = ends(metrics.bootstrap_mean(values, over, seed=seed))
    return {
        "mean": number(float(np.mean(values))),
        "std": number(float(np.std(values))),
        "low": low,
        "high": high,
        "std_interval": ends(metrics.bootstrap_std(values, over, seed=seed)),
        "n": len(values),
    }


def difference(
    models: tuple[str, str],
    figure: str,
    first: np.ndarray,
    second: np.ndarray,
    seed: int,
    **where: Any,
) -> dict[str, Any]:
    """Return how far two models differ on the same queries, with interval and test.

    Args:
        models: the two.
        figure: what is compared.
        first: (q,), the figure of each query under the first model.
        second: (q,), under the second.
        seed: of bootstrap and test.
        where: what else identifies the figure: "k", "change".

    Returns:
        {"models", "figure", …, "difference": mean of first − second, "low", "high", "p"}.
    """
    by_query = np.asarray(first, np.float64) - second
    low, high = ends(metrics.bootstrap_mean(by_query, Over(len(by_query)), seed=seed))
    return {
        "models": list(models),
        "figure": figure,
        **where,
        "difference": number(float(by_query.mean())),
        "low": low,
        "high": high,
        "p": number(metrics.sign_flip_test(by_query, seed=seed)),
    }


def differences(
    values: Mapping[str, np.ndarray], figure: str, seed: int, **where: Any
) -> list[dict[str, Any]]:
    """Return `difference` of every two models.

    Args:
        values: by model, (q,), a figure of the same queries.
        figure: its name.
        seed: of bootstrap and test.
        where: see `difference`.
    """
    return [
        difference((first, second), figure, values[first], values[second], seed, **where)
        for first, second in combinations(values, 2)
    ]


def adjust(tests: list[dict[str, Any]]) -> None:
    """Add to each of a family of tests its p-value adjusted for their number, "p_holm".

    Source: Holm: A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
    """
    largest = 0.0
    for rank, test in enumerate(sorted(tests, key=lambda one: one["p"])):
        largest = max(largest, min((len(tests) - rank) * test["p"], 1.0))
        test["p_holm"] = number(largest)


def ends(samples: np.ndarray) -> list[float]:
    """Return the interval of bootstrap samples, rounded as `number` rounds."""
    low, high = metrics.interval(samples)
    return [number(low), number(high)]


def number(value: float) -> float:
    """Return a number rounded to six decimals: anything finer is noise."""
    return round(float(value), 6)
