"""How much better one arm is than another: in points, relative, in standard deviations, and as a chance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bnexp.analysis.statistics.bootstrap import bootstrap_difference
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import ROUNDING, Values, sample_mean, satterthwaite
from bnexp.analysis.statistics.student import mean, welch

ANYWHERE = (-math.inf, math.inf)
BOOTSTRAP_FROM = 10  # runs of the smaller arm


@dataclass(frozen=True)
class Difference:
    """Arm A against arm B: ``points`` = E A − E B, ``relative`` = E A / E B − 1, effect size, P(A > B)."""

    points: Estimate
    relative: Estimate
    hedges_g: float
    probability_above: float


def compare(a: Values, b: Values, resolution: float = 0.0, within: tuple[float, float] = ANYWHERE) -> Difference:
    """Return every measure of the difference between two arms of values that can only lie ``within`` a range.

    ``resolution`` as in :func:`sample.sample_mean`.
    """
    low, high = within
    least = 0.0 if low >= 0 else -math.inf
    relative = ratio(sample_mean(a, resolution), sample_mean(b, resolution), offset=1.0, least=least)
    points = difference(a, b, resolution).within(low - high, high - low)
    return Difference(points, relative, hedges_g(a, b), probability_above(a, b))


def difference(a: Values, b: Values, resolution: float = 0.0) -> Estimate:
    """Return mean(a) − mean(b): Welch's interval below ten runs of the smaller arm, the BCa bootstrap's from ten."""
    arm_a, arm_b = sample_mean(a, resolution), sample_mean(b, resolution)
    estimate = welch(arm_a, arm_b)
    floor = resolution**2 / 12 * (1 + ROUNDING)
    if min(arm_a.n, arm_b.n) < BOOTSTRAP_FROM or min(arm_a.variance * arm_a.n, arm_b.variance * arm_b.n) <= floor:
        return estimate  # too few runs, or an arm whose runs agree: nothing to resample
    df = satterthwaite((arm_a.variance, arm_b.variance), (arm_a.df, arm_b.df))
    distribution = bootstrap_difference(np.asarray(a, float), np.asarray(b, float), df)
    return replace(estimate, distribution=distribution, method="BCa bootstrap")


def paired_difference(a: Values, b: Values, resolution: float = 0.0) -> Estimate:
    """Return the mean of a_i − b_i over runs of the same seed, with Student's interval.

    Matched seeds share their split and batches; where that makes a good seed good in both arms, this interval is the
    tighter one. ``n`` counts pairs. Raises ValueError unless both arms hold the same number of runs.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape:
        raise ValueError(f"pairs need one run of each arm per seed; got {len(first)} and {len(second)} runs")
    equal = np.isclose(first, second, rtol=1e-12, atol=0)
    return mean(np.where(equal, 0.0, first - second), resolution)


def hedges_g(a: Values, b: Values) -> float:
    """Return g = J·(ā − b̄)/s with s the pooled standard deviation; NaN without a spread to measure by.

    J = Γ(m/2) / (√(m/2) Γ((m − 1)/2)), m = n_a + n_b − 2, removes the bias of small samples
    (Hedges 1981, J. Educ. Stat. 6).
    """
    arm_a, arm_b = sample_mean(a), sample_mean(b)
    if min(arm_a.n, arm_b.n) < 2 or arm_a.variance + arm_b.variance == 0:
        return math.nan
    df = arm_a.df + arm_b.df
    pooled = (arm_a.df * arm_a.n * arm_a.variance + arm_b.df * arm_b.n * arm_b.variance) / df
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * (arm_a.value - arm_b.value) / math.sqrt(pooled)


def probability_above(a: Values, b: Values) -> float:
    """Return P(A > B) + ½P(A = B) over all pairs: the chance that a run of A beats one of B; NaN without runs."""
    if not (len(a) and len(b)):
        return math.nan
    first, second = np.asarray(a, float)[:, None], np.asarray(b, float)  # compared, as −∞ less −∞ is no number
    return float((first > second).mean() + (first == second).mean() / 2)
