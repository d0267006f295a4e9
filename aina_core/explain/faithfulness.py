"""Is a map faithful? Deletion and insertion, compared with places hidden at random.

Petsiuk, Das and Saenko, RISE (2018): hide the places that a map calls important, the strongest
first, and the score should fall fast (deletion); show them first in a picture that is hidden, and
it should rise fast (insertion). Here hidden means blurred in both, because black or grey squares
are themselves something to look at.

The random orders have the map's own grain: random values on the map's grid are enlarged and ranked
in the same way, so a map does not win by being smooth. A random order backwards is a random order:
showing first what was hidden last passes the same pictures, so the curve of random insertion is
that of random deletion read backwards, and the two areas are one number.

The area under a curve s(0) … s(steps) is that of

    1 + (s(t) − s) · d / |s|,        s: the score of the picture as it is,
                                     d: 1, or −1 when what lowers the score is explained,

by the trapezoidal rule over the share of the picture from 0 to 1. So a curve that never leaves the
picture's own score has the area 1, and areas of different pictures and models compare. A map is
faithful when its deletion is below random and its insertion above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.explain.explanation import Explanation, enlarge
from aina_core.explain.occlusion import blurred

#: How many random orders are averaged.
ORDERS = 4


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How a score falls and rises as a picture is hidden and shown in the order of a map.

    Attributes:
        deletion: area under the curve, strongest places hidden first; smaller is better.
        insertion: area under the curve, strongest places shown first; larger is better.
        deletion_random: area, places hidden at random.
        insertion_random: area, places shown at random.
        fractions: float32 (steps + 1,), the share of the picture that is hidden, or shown: 0 … 1.
        deletion_curve: float32 (steps + 1,), scores; begins with the picture as it is.
        insertion_curve: float32 (steps + 1,), scores; ends with the picture as it is.
        deletion_random_curve: float32 (steps + 1,), the mean of `ORDERS` random orders.
        insertion_random_curve: float32 (steps + 1,), the same.
    """

    deletion: float
    insertion: float
    deletion_random: float
    insertion_random: float
    fractions: np.ndarray
    deletion_curve: np.ndarray
    insertion_curve: np.ndarray
    deletion_random_curve: np.ndarray
    insertion_random_curve: np.ndarray


def check(part: np.ndarray, explanation: Explanation, steps: int) -> None:
    """Refuse settings that cannot be measured.

    Raises:
        InputError: the map is flat or of another picture, or there are fewer than two steps.
    """
    if explanation.flat:
        raise InputError("A flat map marks nothing, so there is nothing to check.")
    if explanation.map.shape != part.shape[:2]:
        raise InputError(
            f"The map is of a picture of {explanation.map.shape[::-1]} pixels, not of "
            f"{part.shape[1::-1]}; give the picture that was explained."
        )
    if steps < 2:
        raise InputError(f"A curve of {steps} steps is none; give at least 2.")


def measure(
    picture: np.ndarray,
    scores: Callable[[np.ndarray], np.ndarray],
    cells: np.ndarray,
    *,
    opposite: bool,
    steps: int,
    seed: int,
) -> Faithfulness:
    """Hide and show a picture in the order of a map, and in random orders.

    Args:
        picture: uint8 (rows, columns, 3), what the network is given.
        scores: pictures uint8 (n, rows, columns, 3) → float32 (n,).
        cells: float32 (down, across), the map.
        opposite: the map shows what lowers the score.
        steps: how many parts of the same size are hidden one after the other.
        seed: of the random orders.
    """
    chance = np.random.default_rng(seed)
    hidden = blurred(picture)
    noise = [_rank(_random(cells, chance), picture) for _ in range(ORDERS)]
    own = _rank(cells, picture, ties=noise[0])
    inner = np.arange(1, steps) / steps  # the ends are the picture and the blurred picture

    def mixed(order: np.ndarray) -> list[np.ndarray]:
        return [np.where((order < share)[..., None], hidden, picture) for share in inner]

    batch = [picture, hidden, *mixed(own), *mixed(1 - own)]
    for order in noise:
        batch += mixed(order)
    found = np.asarray(scores(np.stack(batch)), np.float32)
    whole, nothing = found[:1], found[1:2]
    falls = [np.concatenate([whole, part, nothing]) for part in found[2:].reshape(-1, steps - 1)]
    deletion, insertion, chances = falls[0], falls[1][::-1], np.mean(falls[2:], axis=0)
    own_fall, own_rise, by_chance = (
        area(curve, float(whole[0]), opposite) for curve in (deletion, insertion, chances)
    )
    return Faithfulness(
        deletion=own_fall,
        insertion=own_rise,
        deletion_random=by_chance,
        insertion_random=by_chance,
        fractions=np.linspace(0, 1, steps + 1, dtype=np.float32),
        deletion_curve=deletion,
        insertion_curve=np.ascontiguousarray(insertion),
        deletion_random_curve=chances,
        insertion_random_curve=np.ascontiguousarray(chances[::-1]),
    )


def area(curve: np.ndarray, start: float, opposite: bool = False) -> float:
    """Return the area under a curve of scores, relative to the picture's own score.

    Args:
        curve: float32 (steps + 1,), over equal shares of the picture.
        start: the picture's own score.
        opposite: the score should rise when what was explained is hidden.
    """
    direction = -1.0 if opposite else 1.0
    relative = 1 + direction * (curve.astype(np.float64) - start) / max(abs(start), 1e-9)
    return float(np.trapezoid(relative, dx=1 / (len(curve) - 1)))


def _random(cells: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    return chance.random(cells.shape).astype(np.float32)


def _rank(cells: np.ndarray, picture: np.ndarray, ties: np.ndarray | None = None) -> np.ndarray:
    """Return the order in which pixels are hidden, the strongest first.

    Args:
        cells: float32 (down, across).
        picture: (rows, columns, 3).
        ties: (rows, columns), the order among pixels of one value (most maps are 0 in places).

    Returns:
        float64 (rows, columns): for each pixel the share of the pixels hidden before it, plus half
        a pixel, so that 1 − rank is the order backwards.
    """
    rows, columns = picture.shape[:2]
    values = enlarge(cells, (0, 0, rows, columns), rows, columns).ravel()
    second = np.zeros_like(values) if ties is None else ties.ravel()
    order = np.lexsort((second, -values))
    ranks = np.empty(len(order))
    ranks[order] = (np.arange(len(order)) + 0.5) / len(order)
    return ranks.reshape(rows, columns)
