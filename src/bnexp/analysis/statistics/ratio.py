"""How many times the mean of one arm is that of another: Fieller's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.sample import SampleMean, satterthwaite, why_unknown


@dataclass(frozen=True)
class Fieller:
    """Confidence distribution of ρ = E a / E b from two independent means, less ``offset``.

    ρ is tested through the plain difference a − ρb: C(ρ) = F((ρb − a)/√(v_a + ρ² v_b)), F of Student's t. Solved for ρ,
    ρ = (ab + t √(v_a(b² − t² v_b) + v_b a²)) / (b² − t² v_b), unbounded once b lies within t of zero
    (Fieller 1954, "Some problems in interval estimation", JRSS B 16).
    No ρ below ``least`` is possible: intervals end there, and so does C.
    """

    a: SampleMean
    b: SampleMean
    df: float
    offset: float
    least: float

    def cdf(self, x: float) -> float:
        """Return C(x)."""
        from scipy.special import stdtr

        rho = x + self.offset
        if math.isinf(rho) or rho <= self.least:
            return float(rho > self.least)
        scale = math.sqrt(self.a.variance + rho**2 * self.b.variance)
        gap = rho * self.b.value - self.a.value
        return float(stdtr(self.df, gap / scale)) if scale else (1 + math.copysign(1, gap)) / 2

    def ppf(self, q: float) -> float:
        """Return C⁻¹(q), the upper end infinite where b cannot be told from zero at that level."""
        from scipy.special import stdtrit

        t = float(stdtrit(self.df, q))
        a, b = self.a, self.b
        certain = b.value**2 - t**2 * b.variance
        root = math.sqrt(max(0.0, a.variance * certain + b.variance * a.value**2))
        if certain > 0:
            return max(self.least, (a.value * b.value + t * root) / certain) - self.offset
        if t > 0:
            return math.inf
        # Where a can be told from zero, and no ratio is negative, it has a lower end without b being so: the same root,
        # written without the division by what may be zero.
        surplus = a.value**2 - t**2 * a.variance
        if math.isinf(self.least) or surplus <= 0:
            return self.least - self.offset
        return max(self.least, surplus / (a.value * b.value - t * root)) - self.offset


def ratio(a: SampleMean, b: SampleMean, offset: float = 0.0, least: float = -math.inf) -> Estimate:
    """Return E a / E b − ``offset`` with Fieller's interval and Satterthwaite's degrees of freedom.

    ``least`` is the smallest ratio that there can be: 0 for what is never negative, such as times.
    Without an interval, and with the reason, for fewer than two runs of an arm, when all runs agree exactly, when those
    of a are all 0, or when the mean of b is not above 0.
    """
    n = (a.n, b.n)
    value = a.value / b.value if b.value > 0 else math.nan
    reason = why_unknown((a, b))
    if not reason and not b.value > 0:
        reason = "a ratio needs a positive mean to be measured against"
    if not reason and a.value == a.variance == 0:
        reason = "every run of the first arm has exactly 0: how far that is from more is unknown"
    if reason:
        return Estimate.without_interval(value - offset, n, reason)
    variances = a.variance, value**2 * b.variance
    df = satterthwaite(variances, (a.df, b.df))
    unit_variance = (variances[0] * a.n + variances[1] * b.n) / b.value**2  # to first order (the delta method)
    return Estimate(value - offset, Fieller(a, b, df, offset, least), n, "Fieller", unit_variance=unit_variance)
