"""What a number found from a few runs leaves possible: the value, its interval at any level, its p-value anywhere.

Every method here ends in a *confidence distribution* C: C(x) is the one-sided p-value of "the truth is at most x",
so the interval of confidence c runs from C⁻¹((1 − c)/2) to C⁻¹((1 + c)/2). Intervals, p-values and verdicts that are
read from the same C cannot contradict one another (Xie & Singh 2013, "Confidence distribution", Int. Stat. Rev. 81).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from bnexp.analysis.statistics.sample import ROUNDING

CONFIDENCE = 0.95


class ConfidenceDistribution(Protocol):
    """One-sided p-values as a function of the supposed truth, and its inverse."""

    def cdf(self, x: float, /) -> float:
        """Return the p-value of "the truth is at most x"; 1 minus it is that of "the truth is at least x"."""

    def ppf(self, q: float, /) -> float:
        """Return the x whose p-value is ``q``; infinite where no x is refused at that level."""


@dataclass(frozen=True)
class Unknown:
    """The data refuse no value at all: two-sided p-values are 1 and every interval is the whole line."""

    def cdf(self, x: float) -> float:
        """Return 0.5 between the ends of the line."""
        return 0.5 if math.isfinite(x) else float(x > 0)

    def ppf(self, q: float) -> float:
        """Return the end of the line on the side of ``q``."""
        return math.copysign(math.inf, q - 0.5)


@dataclass(frozen=True)
class Bounded:
    """A confidence distribution of what is known to lie between ``low`` and ``high``: intervals end there.

    The truth lies inside, so what is cut off held it in no study, and coverage stays as it is. At the ends themselves C
    is left alone: a value at the end is refused only where the runs refuse it.
    """

    inner: ConfidenceDistribution
    low: float
    high: float

    def cdf(self, x: float) -> float:
        """Return C(x), 0 below the range and 1 above it."""
        return float(x > self.high) if not self.low <= x <= self.high else self.inner.cdf(x)

    def ppf(self, q: float) -> float:
        """Return C⁻¹(q), at the furthest an end of the range."""
        return min(max(self.inner.ppf(q), self.low), self.high)


@dataclass(frozen=True)
class Estimate:
    """A value, what the runs leave possible around it, and how that was found.

    ``n`` holds the number of runs of each arm; ``note`` says why there is no interval where there is none.
    ``unit_variance`` is the variance that the value would have with one run of each arm: n of each divide it by n.
    """

    value: float
    distribution: ConfidenceDistribution
    n: tuple[int, ...]
    method: str
    note: str = ""
    unit_variance: float = math.nan

    @classmethod
    def without_interval(cls, value: float, n: tuple[int, ...], note: str) -> Estimate:
        """Return a value about whose surroundings the data say nothing, with the reason."""
        return cls(value, Unknown(), n, "none", note)

    def within(self, low: float, high: float) -> Estimate:
        """Return the estimate of what can only lie between ``low`` and ``high``.

        One without an interval stays so, and one that lies outside, for which the range cannot hold.
        """
        if self.note or not low - ROUNDING <= self.value <= high + ROUNDING:
            return self
        return replace(self, distribution=Bounded(self.distribution, low, high))

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two-sided interval; an end is infinite where the data do not bound it."""
        tail = (1 - confidence) / 2
        return self.distribution.ppf(tail), self.distribution.ppf(1 - tail)

    @property
    def runs(self) -> str:
        """The number of runs of an arm, 10, or the least and the most, 8 to 10."""
        least, most = min(self.n), max(self.n)
        return str(least) if least == most else f"{least} to {most}"

    def p_value(self, threshold: float = 0.0) -> float:
        """Return the two-sided p-value of "the truth is ``threshold``": 2 min(C, 1 − C)."""
        below = self.distribution.cdf(threshold)
        return 2 * min(below, 1 - below)
