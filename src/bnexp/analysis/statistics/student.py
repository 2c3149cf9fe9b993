"""Weighted sums of arms' means with Student's interval: one mean, a difference, a contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.sample import SampleMean, Values, sample_mean, satterthwaite, why_unknown


@dataclass(frozen=True)
class Student:
    """C(x) = F((x − location)/scale), F the distribution function of Student's t with ``df`` degrees of freedom."""

    location: float
    scale: float
    df: float

    def cdf(self, x: float) -> float:
        """Return C(x)."""
        from scipy.special import stdtr

        return float(stdtr(self.df, (x - self.location) / self.scale))

    def ppf(self, q: float) -> float:
        """Return C⁻¹(q)."""
        from scipy.special import stdtrit

        return self.location + self.scale * float(stdtrit(self.df, q))


def mean(values: Values, resolution: float = 0.0) -> Estimate:
    """Return the mean of one arm with Student's interval, ȳ ± t(n − 1)·s/√n."""
    return contrast([sample_mean(values, resolution)], [1.0], "Student")


def welch(a: SampleMean, b: SampleMean) -> Estimate:
    """Return a − b with Welch's interval, which lets each arm have its own spread."""
    return contrast([a, b], [1.0, -1.0], "Welch")


def contrast(arms: Sequence[SampleMean], weights: Sequence[float], method: str) -> Estimate:
    """Return Σ w·ȳ over independent arms, with standard error √(Σ w²s²/n) and Satterthwaite's degrees of freedom.

    Without an interval, and with the reason, for fewer than two runs of an arm or when all runs agree exactly.
    """
    value = sum(w * arm.value for w, arm in zip(weights, arms, strict=True))
    n = tuple(arm.n for arm in arms)
    if reason := why_unknown(arms):
        return Estimate.without_interval(value, n, reason)
    variances = [w**2 * arm.variance for w, arm in zip(weights, arms, strict=True)]
    df = satterthwaite(variances, [arm.df for arm in arms])
    unit_variance = sum(arm.n * variance for arm, variance in zip(arms, variances, strict=True))
    return Estimate(value, Student(value, math.sqrt(sum(variances)), df), n, method, unit_variance=unit_variance)
