"""How long an arm takes to reach the target, when some of its runs never do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import SampleMean
from bnexp.analysis.statistics.target import Durations


@dataclass(frozen=True)
class KaplanMeier:
    """The share of runs still short of the target: 1 at first, ``unreached[i]`` from ``times[i]`` on."""

    times: NDArray[np.float64]
    unreached: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    crossings: NDArray[np.int64]

    @property
    def median(self) -> float | None:
        """The first time by which half of the runs have reached the target; None if they never do."""
        half = np.flatnonzero(self.unreached <= 0.5 + 1e-12)
        return float(self.times[half[0]]) if len(half) else None


@dataclass(frozen=True)
class LogRank:
    """Whether two arms reach the target at the same pace: χ² with one degree of freedom, and its p-value."""

    chi_squared: float
    p_value: float


def kaplan_meier(arm: Durations) -> KaplanMeier:
    """Return S(t) = Π over t_i ≤ t of (1 − d_i/r_i): d_i crossings at t_i among r_i runs short of the target till then.

    A run censored at t_i still counts in r_i (Kaplan & Meier 1958, JASA 53).
    """
    times = np.unique(arm.times[arm.reached])
    at_risk = np.array([(arm.times >= t).sum() for t in times], int)
    crossings = np.array([(arm.times[arm.reached] == t).sum() for t in times], int)
    return KaplanMeier(times, np.cumprod(1 - crossings / at_risk), at_risk, crossings)


def common_horizon(*arms: Durations) -> float:
    """Return the last time up to which no arm's curve runs out: the horizon at which arms can be compared.

    An arm whose slowest run is censored ends there; if none is, the horizon is the slowest crossing of all.
    """
    cut_off = [float(arm.times.max()) for arm in arms if len(arm.times) and not _ends_in_crossing(arm)]
    return min([*cut_off, _last_finite(arms)])


def restricted_mean(arm: Durations, horizon: float, resolution: float = 0.0) -> SampleMean:
    """Return E min(T, τ), the area under S up to the horizon τ, in the units of the times.

    Variance Σ A_i² d_i/(r_i(r_i − d_i)) · n/(n − 1) with A_i the area right of t_i (Greenwood; Klein & Moeschberger
    2003, eq. 4.5.2): exactly s²/n of the capped times when no run is cut off before τ. ``resolution``, the evaluation
    interval, sets the floor resolution²/12/n as in :func:`sample.sample_mean`.
    Raises ValueError for a horizon beyond the arm's follow-up, where S is unknown.
    """
    n = len(arm.times)
    if n == 0:
        return SampleMean(math.nan, math.nan, 0, 0)
    last = float(arm.times.max())
    if horizon > last and not _ends_in_crossing(arm):
        raise ValueError(f"horizon={horizon:g} lies beyond {last:g}, where the last run was cut off: common_horizon")
    curve = kaplan_meier(arm)
    inside = curve.times < horizon
    knots = np.concatenate([curve.times[inside], [horizon]])
    areas = np.diff(knots) * curve.unreached[inside]
    value = float(knots[0] + areas.sum())
    if n == 1:
        return SampleMean(value, math.nan, 0, 1)
    to_the_right = np.cumsum(areas[::-1])[::-1]
    d, r = curve.crossings[inside], curve.at_risk[inside]
    left = r > d  # nothing lies to the right of the last run's crossing
    greenwood = float((to_the_right[left] ** 2 * d[left] / (r[left] * (r[left] - d[left]))).sum())
    return SampleMean(value, max(greenwood * n / (n - 1), resolution**2 / 12 / n), n - 1, n)


def time_ratio(a: Durations, b: Durations, horizon: float, resolution: float = 0.0) -> Estimate:
    """Return the restricted mean time to target of arm A divided by arm B's, with Fieller's interval.

    Below 1, A is faster. Unbounded, with the reason, when no run of either arm reaches the target by the horizon.
    """
    if not any((arm.reached & (arm.times < horizon)).any() for arm in (a, b)):
        n = (len(a.times), len(b.times))
        return Estimate.without_interval(math.nan, n, "no run of either arm reached the target before the horizon")
    return ratio(restricted_mean(a, horizon, resolution), restricted_mean(b, horizon, resolution), least=0.0)


def log_rank(a: Durations, b: Durations) -> LogRank:
    """Return scipy's log-rank test of equal pace (Mantel 1966); χ² = 0 where nothing tells the arms apart."""
    from scipy.stats import CensoredData, logrank

    if not (a.reached.any() or b.reached.any()):
        return LogRank(0.0, 1.0)
    last = _last_finite((a, b))
    first, second = (CensoredData.right_censored(np.minimum(arm.times, last), ~arm.reached) for arm in (a, b))
    with np.errstate(invalid="ignore"):
        result = logrank(first, second)
    if math.isnan(result.statistic):  # every run at the same time
        return LogRank(0.0, 1.0)
    return LogRank(float(result.statistic**2), float(result.pvalue))


def _ends_in_crossing(arm: Durations) -> bool:
    return bool(arm.reached[arm.times == arm.times.max()].any())


def _last_finite(arms: tuple[Durations, ...]) -> float:
    """Return the latest finite time of all arms; infinite if every run diverged."""
    times = np.concatenate([arm.times for arm in arms])
    finite = times[np.isfinite(times)]
    return float(finite.max()) if len(finite) else math.inf
