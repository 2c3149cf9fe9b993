import math

import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.estimate import Unknown
from bnexp.analysis.statistics.sample import sample_mean
from bnexp.analysis.statistics.student import contrast, mean, welch

A = np.array([0.931, 0.942, 0.918, 0.955, 0.937])
B = np.array([0.881, 0.93, 0.902, 0.86])


def test_the_mean_of_one_arm_has_scipys_t_interval():
    expected = stats.ttest_1samp(A, 0.92)
    estimate = mean(A)
    assert estimate.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert estimate.interval(0.8) == pytest.approx(tuple(expected.confidence_interval(0.8)))
    assert estimate.p_value(0.92) == pytest.approx(expected.pvalue)


def test_the_difference_of_two_arms_has_scipys_welch_interval_and_p_value():
    expected = stats.ttest_ind(A, B, equal_var=False)
    estimate = welch(sample_mean(A), sample_mean(B))
    assert estimate.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert estimate.p_value() == pytest.approx(expected.pvalue)


def test_the_one_sided_p_values_of_the_distribution_are_scipys():
    distribution = welch(sample_mean(A), sample_mean(B)).distribution
    greater = stats.ttest_ind(A - 0.02, B, equal_var=False, alternative="greater")
    assert distribution.cdf(0.02) == pytest.approx(greater.pvalue)
    assert distribution.ppf(distribution.cdf(0.02)) == pytest.approx(0.02)


def test_a_contrast_of_four_cells_has_the_interval_worked_out_by_hand():
    cells = [sample_mean([y - 1, y + 1]) for y in (1.0, 2.0, 4.0, 9.0)]  # each s²/n = 1, so √4 and 4 degrees of freedom
    estimate = contrast(cells, [1.0, -1.0, -1.0, 1.0], "by hand")
    assert estimate.value == 4
    assert estimate.interval() == pytest.approx((4 - 2.7764451 * 2, 4 + 2.7764451 * 2))


def test_one_run_of_each_arm_would_have_the_variances_of_their_runs_together():
    draws = np.random.default_rng(0)
    a, b = draws.normal(size=3), draws.normal(size=40)
    assert mean(a).unit_variance == pytest.approx(a.var(ddof=1))
    assert welch(sample_mean(a), sample_mean(b)).unit_variance == pytest.approx(a.var(ddof=1) + b.var(ddof=1))


@pytest.mark.parametrize(("a", "b"), [([0.5], [0.6, 0.7]), ([0.5, 0.5], [0.7, 0.7]), ([], [0.1, 0.2])])
def test_arms_without_a_known_spread_get_no_interval_but_a_reason(a, b):
    estimate = welch(sample_mean(a), sample_mean(b))
    assert estimate.distribution == Unknown()
    assert estimate.interval() == (-math.inf, math.inf)
    assert estimate.p_value(123.0) == 1
    assert estimate.note


def test_one_arm_without_spread_leaves_the_degrees_of_freedom_to_the_other():
    estimate = welch(sample_mean([0.1, 0.1, 0.1]), sample_mean(A))
    low, high = stats.ttest_1samp(0.1 - A, 0).confidence_interval()
    assert estimate.interval() == pytest.approx((low, high))
