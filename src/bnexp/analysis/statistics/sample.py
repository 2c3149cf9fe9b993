"""The mean of one arm's runs and the variance of that mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]

ROUNDING = 1e-9  # a spread below this share of the values is floating-point noise, not evidence


@dataclass(frozen=True)
class SampleMean:
    """A mean over ``n`` runs, the variance *of that mean* (NaN if one run cannot tell) and its degrees of freedom."""

    value: float
    variance: float
    df: float
    n: int


def sample_mean(values: Values, resolution: float = 0.0) -> SampleMean:
    """Return ȳ = Σy/n and s²/n, with s² = max(Σ(y − ȳ)²/(n − 1), resolution²/12).

    ``resolution`` is the smallest step in which the values can differ (one evaluation interval; 1/N for an accuracy
    on N examples): runs that agree to the last digit still hide a rounding of variance resolution²/12
    (GUM, JCGM 100:2008, F.2.2.1). Left at 0, runs that agree exactly have no spread and get no interval.
    Raises ValueError for a value that is not finite: what a diverged run counts as is for the caller to say.
    """
    data = np.asarray(values, dtype=float)
    if not np.isfinite(data).all():
        raise ValueError("a mean needs finite values; say what a run without a number counts as, or count it apart")
    n = len(data)
    if n == 0:
        return SampleMean(math.nan, math.nan, 0, 0)
    if n == 1:
        return SampleMean(float(data[0]), math.nan, 0, 1)
    spread = float(data.var(ddof=1)) if np.ptp(data) > ROUNDING * np.abs(data).max() else 0.0
    return SampleMean(float(data.mean()), max(spread, resolution**2 / 12) / n, n - 1, n)


def why_unknown(arms: Sequence[SampleMean]) -> str:
    """Return why nothing can be said about the spread of these arms, or an empty string where something can."""
    if min(arm.n for arm in arms) < 2:
        return "fewer than two runs of an arm: the spread over seeds is unknown"
    if all(arm.variance == 0 for arm in arms):
        return "the runs agree exactly: the spread over seeds is unknown"
    return ""


def satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of independent variances, (Σv)² / Σ(v²/df).

    Source: Satterthwaite 1946, Biometrics Bulletin 2; Welch 1947, Biometrika 34.
    """
    return sum(variances) ** 2 / sum(v**2 / df for v, df in zip(variances, dfs, strict=True))
