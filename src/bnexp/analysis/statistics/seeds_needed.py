"""How many seeds an arm a difference would need."""

from __future__ import annotations

import math

from bnexp.analysis.statistics.estimate import Estimate

ALPHA = 0.05
POWER = 0.8


def seeds_per_arm(difference: float, sd_a: float, sd_b: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Return n = ⌈(z(1 − α/2) + z(power))² (sd_a² + sd_b²) / difference²⌉, two-sided, normal approximation.

    Student's t at the same n would ask for about one seed more. Raises ValueError for a difference of zero.
    """
    if difference == 0:
        raise ValueError("difference=0 cannot be told from none by any number of seeds")
    return _runs(sd_a**2 + sd_b**2, difference, power, alpha)


def seeds_to_decide(estimate: Estimate, threshold: float, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """Return the seeds per arm that would put ``threshold`` outside the interval, should the estimate be the truth.

    As :func:`seeds_per_arm`, with the spreads that the runs have. None where these are unknown or the estimate lies on
    the threshold.
    """
    gap = estimate.value - threshold
    if not (math.isfinite(estimate.unit_variance) and gap):
        return None
    return _runs(estimate.unit_variance, gap, power, alpha)


def _runs(variance_of_one: float, difference: float, power: float, alpha: float) -> int:
    from scipy.special import ndtri

    return math.ceil((float(ndtri(1 - alpha / 2)) + float(ndtri(power))) ** 2 * variance_of_one / difference**2)
