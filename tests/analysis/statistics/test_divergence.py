import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from bnexp.analysis.statistics.divergence import SquareAndAdd, compare_divergence


def test_fishers_p_value_is_the_share_of_equally_extreme_tables():
    assert compare_divergence(5, 5, 0, 5).fisher_p == pytest.approx(2 / math.comb(10, 5))
    assert compare_divergence(3, 3, 0, 4).fisher_p == pytest.approx(1 / math.comb(7, 3))


def test_the_limits_are_squared_and_added_from_exact_limits_of_each_rate():
    estimate = compare_divergence(56, 70, 48, 80).difference  # Newcombe 1998, example (a)
    (low_a, high_a), (low_b, high_b) = (proportion_confint(k, n, method="beta") for k, n in ((56, 70), (48, 80)))
    low, high = estimate.interval()
    assert estimate.value == pytest.approx(0.2)
    assert low == pytest.approx(0.2 - math.hypot(0.8 - low_a, high_b - 0.6))
    assert high == pytest.approx(0.2 + math.hypot(high_a - 0.8, 0.6 - low_b))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=0.015)  # published, from Wilson's limits


def test_interval_and_p_value_agree_and_nothing_is_known_between_the_innermost_limits():
    estimate = compare_divergence(4, 5, 1, 6).difference
    assert [estimate.p_value(end) for end in estimate.interval(0.9)] == pytest.approx([0.1, 0.1])
    assert estimate.p_value(estimate.value) == 1
    assert estimate.p_value(estimate.value + 0.01) == 1
    assert estimate.distribution.cdf(-math.inf) == 0
    assert estimate.distribution.cdf(math.inf) == 1


def test_arms_that_never_diverged_still_leave_the_rates_open():
    low, high = compare_divergence(0, 5, 0, 5).difference.interval()
    assert low == pytest.approx(-high)
    assert high == pytest.approx(1 - 0.025 ** (1 / 5))  # the exact upper limit of 0 in 5


def test_an_arm_without_runs_has_no_rate():
    assert "no run" in compare_divergence(0, 0, 1, 3).difference.note


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 5), (10, 10), (20, 20), (5, 10)])
def test_the_exact_coverage_is_at_least_92_percent_at_every_pair_of_rates(n_a, n_b):
    limits = {
        (i, j): (SquareAndAdd(i, n_a, j, n_b).ppf(0.025), SquareAndAdd(i, n_a, j, n_b).ppf(0.975))
        for i in range(n_a + 1)
        for j in range(n_b + 1)
    }
    low, high = np.moveaxis(np.array([*limits.values()]).reshape(n_a + 1, n_b + 1, 2), -1, 0)
    coverage = {}
    for p in np.linspace(0, 1, 41):
        for q in np.linspace(0, 1, 41):
            chance = np.outer(stats.binom.pmf(range(n_a + 1), n_a, p), stats.binom.pmf(range(n_b + 1), n_b, q))
            coverage[p, q] = chance[(low <= p - q + 1e-9) & (p - q - 1e-9 <= high)].sum()
    print(f"{n_a} and {n_b} runs: mean {np.mean([*coverage.values()]):.3f}, least {min(coverage.values()):.3f}")
    assert min(coverage.values()) > 0.92
    assert max(1 - share for (p, q), share in coverage.items() if p == q) <= 0.05  # a difference where there is none
