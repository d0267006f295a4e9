"""Numbers as people read them: the same figure reads the same on every page and in every report."""

from __future__ import annotations

import math
from collections.abc import Sequence


def decimal_text(value: float) -> str:
    """A similarity or another figure around 1, with three decimals: 0.934, −0.120, 1.000."""
    text = f"{abs(value):.3f}"
    return f"−{text}" if value < 0 and float(text) else text


def interval_text(ends: Sequence[float]) -> str:
    """An interval: [0.910, 0.950]."""
    return f"[{decimal_text(ends[0])}, {decimal_text(ends[1])}]"


def estimate_text(value: float, ends: Sequence[float]) -> str:
    """A figure and its interval: 0.934 [0.910, 0.950]."""
    return f"{decimal_text(value)} {interval_text(ends)}"


def p_value_text(p: float) -> str:
    """A p-value: 0.031, or below 0.001."""
    return "below 0.001" if p < 0.001 else decimal_text(p)


def probability_text(value: float) -> str:
    """A probability with two decimals: 0.39, 1.00, <0.01."""
    return "<0.01" if 0 < value < 0.005 else f"{value:.2f}"


def percentile_text(percentile: float) -> str:
    """A percentile in words, rounded down so that only a true 1 reads as 100%."""
    shown = math.floor(percentile * 1000 + 1e-6) / 10
    return f"nearer than {shown:.1f}% of pairs" if shown < 100 else "nearer than 100% of pairs"
