"""Whether one arm diverges more often than another: counts, not accuracies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bnexp.analysis.statistics.estimate import Estimate


@dataclass(frozen=True)
class DivergenceRates:
    """``difference`` = rate of A − rate of B, with its interval; ``fisher_p`` = Fisher's exact two-sided p-value."""

    difference: Estimate
    fisher_p: float


@dataclass(frozen=True)
class SquareAndAdd:
    """Confidence distribution of p_a − p_b by Newcombe's square-and-add rule from exact limits of each rate.

    At level α, with (l, u) the Clopper–Pearson limits of each rate,
    lower = d − √((p_a − l_a)² + (u_b − p_b)²), upper = d + √((u_a − p_a)² + (p_b − l_b)²)
    (Newcombe 1998, Stat. Med. 17:873, method 10, which takes Wilson's limits instead: with three to ten runs an arm
    those cover as little as 86 %, the exact ones no less than 92 %). Between the limits at α = 1, C = ½.
    """

    diverged_a: int
    n_a: int
    diverged_b: int
    n_b: int

    def ppf(self, q: float) -> float:
        """Return the lower limit at α = 2q, or the upper one at α = 2(1 − q)."""
        p_a, p_b = self.diverged_a / self.n_a, self.diverged_b / self.n_b
        low_a, high_a = _clopper_pearson(self.diverged_a, self.n_a, min(q, 1 - q))
        low_b, high_b = _clopper_pearson(self.diverged_b, self.n_b, min(q, 1 - q))
        if q < 0.5:
            return p_a - p_b - math.hypot(p_a - low_a, high_b - p_b)
        return p_a - p_b + math.hypot(high_a - p_a, p_b - low_b)

    def cdf(self, x: float) -> float:
        """Return C(x), the level at which a limit passes x."""
        from scipy.optimize import brentq

        d = self.diverged_a / self.n_a - self.diverged_b / self.n_b
        least = 1e-12
        low, high = (least, 0.5 - least) if x < d else (0.5 + least, 1 - least)
        if x <= self.ppf(low):
            return 0.0 if x < d else 0.5
        if x >= self.ppf(high):
            return 0.5 if x < d else 1.0
        return float(brentq(lambda q: self.ppf(q) - x, low, high))


def compare_divergence(diverged_a: int, n_a: int, diverged_b: int, n_b: int) -> DivergenceRates:
    """Compare the share of diverged runs of two arms; Fisher's test conditions on the total number of diverged runs.

    With no run of an arm the difference is NaN, without an interval.
    """
    from scipy.stats import fisher_exact

    if not (n_a and n_b):
        unknown = Estimate.without_interval(math.nan, (n_a, n_b), "no run of an arm")
        return DivergenceRates(unknown, 1.0)
    table = [[diverged_a, n_a - diverged_a], [diverged_b, n_b - diverged_b]]
    distribution = SquareAndAdd(diverged_a, n_a, diverged_b, n_b)
    # With one run more of each kind: a share of exactly 0 or 1 would seem to have no spread.
    shares = (diverged_a + 1) / (n_a + 2), (diverged_b + 1) / (n_b + 2)
    difference = Estimate(
        diverged_a / n_a - diverged_b / n_b,
        distribution,
        (n_a, n_b),
        "Newcombe, exact limits",
        unit_variance=sum(share * (1 - share) for share in shares),
    )
    return DivergenceRates(difference, float(fisher_exact(table).pvalue))


def _clopper_pearson(count: int, n: int, tail: float) -> tuple[float, float]:
    """Return the limits that a share's exact binomial tails of probability ``tail`` leave possible."""
    from scipy.special import betaincinv

    low = float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return low, high
