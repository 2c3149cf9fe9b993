"""The BCa bootstrap of a difference of two means, as a confidence distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 9999
SEED = 0  # fixed, so that the same runs always give the same interval


@dataclass(frozen=True)
class BCa:
    """Bias-corrected and accelerated percentiles of the resampled differences, widened for small samples.

    The x of normal score z = stretch·t(q; df) is the resamples' quantile at Φ(z₀ + (z₀ + z)/(1 − a(z₀ + z)))
    (Efron & Tibshirani 1993, eqs. 14.9–14.10); C inverts that.
    With ``stretch`` 1 and ``df`` infinite this is scipy's BCa, which at ten runs an arm is about 11 % too short: it
    resamples with variance (n − 1)s²/n and takes normal quantiles. stretch = (standard error)/(that of
    the resamples) and Student's quantiles mend both (expanded as in Hesterberg 2015, "What teachers should know about
    the bootstrap", Am. Stat. 69).
    """

    replicates: NDArray[np.float64]
    bias: float
    acceleration: float
    stretch: float
    df: float

    def cdf(self, x: float) -> float:
        """Return C(x), no surer than the number of resamples allows; an infinite x bounds nothing."""
        from scipy.special import ndtri, stdtr

        if math.isinf(x):
            return float(x > 0)
        w = float(ndtri(_share_below(self.replicates, x))) - self.bias
        return float(stdtr(self.df, (w / (1 + self.acceleration * w) - self.bias) / self.stretch))

    def ppf(self, q: float) -> float:
        """Return C⁻¹(q), at the furthest the smallest or the largest resample."""
        from scipy.special import ndtr, stdtrit

        s = self.bias + self.stretch * float(stdtrit(self.df, q))
        level = ndtr(self.bias + s / max(1 - self.acceleration * s, 1e-3))
        return float(np.quantile(self.replicates, level))


def bootstrap_difference(a: NDArray[np.float64], b: NDArray[np.float64], df: float, resamples: int = RESAMPLES) -> BCa:
    """Resample both arms (scipy.stats.bootstrap, fixed seed) and return the BCa distribution of mean(a) − mean(b).

    z₀ = Φ⁻¹(share of resamples below the observed difference); a = Σu³/n³ / (6 (Σu²/n²)^1.5), both sums over both
    arms, with u the deviations from the arm's mean, negated for b (Efron & Tibshirani 1993, eqs. 14.14–14.15).
    Both arms need a spread.
    """
    from scipy.special import ndtri
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (a, b),
        _difference,
        n_resamples=resamples,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    replicates = np.sort(drawn.bootstrap_distribution)
    u, v = a - a.mean(), b.mean() - b
    plug_in = (u**2).sum() / len(a) ** 2 + (v**2).sum() / len(b) ** 2
    skew = (u**3).sum() / len(a) ** 3 + (v**3).sum() / len(b) ** 3
    variance = a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)
    bias = float(ndtri(_share_below(replicates, float(a.mean() - b.mean()))))
    return BCa(replicates, bias, float(skew / (6 * plug_in**1.5)), float(np.sqrt(variance / plug_in)), df)


def _difference(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(a.mean(axis=axis) - b.mean(axis=axis))


def _share_below(replicates: NDArray[np.float64], x: float) -> float:
    """Return the share of resamples below x, ties half, kept one resample away from 0 and 1."""
    total = len(replicates)
    rank = (np.searchsorted(replicates, x, "left") + np.searchsorted(replicates, x, "right")) / 2
    return float(np.clip(rank / total, 1 / (total + 1), total / (total + 1)))
