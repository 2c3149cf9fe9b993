"""How much less one arm varies than another: over seeds, or over a family of arms such as the initializations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import Values, sample_mean


def spread_ratio(a: Values, b: Values) -> Estimate:
    """Return the ratio of two arms' spreads over seeds, mean |y − median|; its square compares their variances.

    Brown & Forsythe's (1974, JASA 69) robust deviations, with Fieller's interval for their ratio: the F interval of two
    variances is wrong at any n unless the data are normal, and one unlucky run would decide it.
    """
    return ratio(sample_mean(_deviations(a)), sample_mean(_deviations(b)), least=0.0)


def between_ratio(a: Mapping[str, Values], b: Mapping[str, Values]) -> Estimate:
    """Return how far a change of group moves a result in family A, relative to B; its square compares variances.

    ``a["he"][s]`` is the result of group "he" with the s-th seed. For each seed the standard deviation over the G
    groups is taken, √(Σ_g (y_gs − ȳ_s)²/(G − 1)); the means of these over seeds are divided, with Fieller's interval.
    The groups are those named, not a sample of all there might be; the noise of single runs is part of both spreads.
    Raises ValueError for fewer than two groups, or groups with unequal numbers of seeds.
    """
    return ratio(sample_mean(between_groups(a)), sample_mean(between_groups(b)), least=0.0)


def between_groups(groups: Mapping[str, Values]) -> NDArray[np.float64]:
    """Return, for each seed, the standard deviation over the groups, in the units of the values."""
    sizes = {name: len(values) for name, values in groups.items()}
    if len(sizes) < 2 or len(set(sizes.values())) > 1:
        raise ValueError(f"a spread between groups needs two or more with the same seeds; got runs {sizes}")
    return np.asarray(np.std([np.asarray(values, float) for values in groups.values()], axis=0, ddof=1))


def _deviations(values: Values) -> NDArray[np.float64]:
    """Return |y − median| · √(n/(n − 1)), which makes up for the median lying in the middle of its own sample."""
    data = np.asarray(values, float)
    n = len(data)
    return np.abs(data - np.median(data)) * np.sqrt(n / (n - 1)) if n > 1 else np.zeros(0)
