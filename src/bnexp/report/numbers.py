"""How numbers are written in a report: so many digits, a real minus sign, a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.sample import ROUNDING

NONE = "–"


def general(value: float | None) -> str:
    """Write three significant digits."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return minus(f"{value:.3g}" if abs(value) > ROUNDING else "0")


def accuracy(value: float) -> str:
    """Write a fraction to 0.0001."""
    return minus(f"{value:.4f}") if math.isfinite(value) else NONE


def points(value: float) -> str:
    """Write a difference of fractions to 0.0001, with its sign."""
    return minus(f"{value:+.4f}") if math.isfinite(value) else NONE


def amount(value: float) -> str:
    """Write a number of steps: whole where it is."""
    if not math.isfinite(value):
        return general(value)
    return minus(f"{value:,.0f}" if abs(value - round(value)) < 1e-9 else f"{value:,.1f}")


def share(value: float) -> str:
    """Write a probability or a share to 0.01."""
    return f"{value:.2f}" if math.isfinite(value) else NONE


def p_value(value: float) -> str:
    """Write two significant digits of a p-value, down to 0.0001."""
    if not math.isfinite(value):
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def between(low: str, high: str) -> str:
    """Write an interval from its written ends."""
    return f"{low} to {high}"


def interval(estimate: Estimate, write: Callable[[float], str]) -> str:
    """Write the 95 % interval of an estimate, or in a word why it has none."""
    low, high = estimate.interval()
    return why_no_interval(estimate) or between(
        *(write(end) if math.isfinite(end) else general(end) for end in (low, high))
    )


def why_no_interval(estimate: Estimate) -> str:
    """Say in a word or two why an estimate has no interval; empty where it has one."""
    if not estimate.note:
        return ""
    if min(estimate.n) == 0:
        return "no run"
    if min(estimate.n) == 1:
        return "one run"
    words = {
        "agree": "no spread",
        "reached": "no run arrived",
        "diverged": "some diverged",
        "have no": "some have none",
    }
    return next((word for sign, word in words.items() if sign in estimate.note), "unknown")


def minus(text: str) -> str:
    """Write real minus signs."""
    return text.replace("-", "−")
