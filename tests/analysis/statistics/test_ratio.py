import math

import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import SampleMean, sample_mean

A = np.array([14.0, 11.0, 12.0, 16.0, 13.5])
B = np.array([20.0, 24.0, 19.0, 26.0])


def test_at_the_ends_of_the_interval_welchs_statistic_of_a_minus_rho_b_is_the_t_quantile():
    estimate = ratio(sample_mean(A), sample_mean(B))
    df = stats.ttest_ind(A, estimate.value * B, equal_var=False).df
    low, high = estimate.interval()
    assert estimate.value == pytest.approx(A.mean() / B.mean())
    assert stats.ttest_ind(A, low * B, equal_var=False).statistic == pytest.approx(stats.t.ppf(0.975, df))
    assert stats.ttest_ind(A, high * B, equal_var=False).statistic == pytest.approx(stats.t.ppf(0.025, df))


def test_the_interval_and_the_p_value_agree():
    estimate = ratio(sample_mean(A), sample_mean(B))
    assert [estimate.p_value(end) for end in estimate.interval()] == pytest.approx([0.05, 0.05])
    assert estimate.distribution.cdf(-math.inf) == 0
    assert estimate.distribution.cdf(math.inf) == 1


def test_an_offset_of_one_turns_the_ratio_into_a_relative_difference():
    plain, relative = ratio(sample_mean(A), sample_mean(B)), ratio(sample_mean(A), sample_mean(B), offset=1.0)
    assert relative.value == pytest.approx(plain.value - 1)
    assert relative.interval() == pytest.approx(tuple(end - 1 for end in plain.interval()))
    assert relative.p_value(-0.3) == pytest.approx(plain.p_value(0.7))


def test_a_baseline_that_cannot_be_told_from_zero_leaves_the_ratio_unbounded():
    estimate = ratio(sample_mean([1.0, 1.1, 0.9]), sample_mean([-2.0, 0.5, 3.0]))
    assert estimate.interval() == (-math.inf, math.inf)


def test_a_baseline_at_or_below_zero_has_no_ratio():
    estimate = ratio(sample_mean(A), sample_mean([-1.0, -2.0]))
    assert math.isnan(estimate.value)
    assert "positive" in estimate.note


def test_one_constant_arm_still_gives_an_interval_and_two_do_not():
    constant = sample_mean([10.0, 10.0, 10.0])
    low, high = ratio(constant, sample_mean(B)).interval()
    assert 0 < low < 10 / B.mean() < high < math.inf
    assert ratio(constant, constant).interval() == (-math.inf, math.inf)


def test_a_ratio_of_what_is_never_negative_ends_at_zero_and_is_else_the_same():
    a, b = sample_mean([1.0, 1.0, 30.0]), sample_mean([20.0, 24.0, 19.0])
    free, bounded = ratio(a, b), ratio(a, b, least=0.0)
    assert free.interval()[0] < 0
    assert bounded.interval() == (0.0, free.interval()[1])
    assert ratio(a, b, offset=1.0, least=0.0).interval() == pytest.approx((-1.0, free.interval()[1] - 1))
    assert bounded.distribution.cdf(0.0) == bounded.distribution.cdf(-1.0) == bounded.distribution.cdf(-math.inf) == 0
    assert bounded.distribution.cdf(math.inf) == 1
    assert bounded.p_value(0.7) == free.p_value(0.7)
    assert ratio(sample_mean(A), b, least=0.0).interval() == ratio(sample_mean(A), b).interval()


def test_a_certain_arm_over_an_uncertain_one_has_a_lower_end_and_no_upper_one():
    a, b = np.array([50.0, 50.1, 50.2]), np.array([1.0, 1.0, 8.0])
    estimate = ratio(sample_mean(a), sample_mean(b), least=0.0)
    low, high = estimate.interval()
    df = stats.ttest_ind(a, estimate.value * b, equal_var=False).df
    assert stats.ttest_ind(a, low * b, equal_var=False).statistic == pytest.approx(stats.t.ppf(0.975, df))
    assert high == math.inf
    assert 0 < low < estimate.value
    vague = ratio(sample_mean([0.1, 1.1, 0.9]), sample_mean(b), least=0.0)  # neither can be told from zero
    assert vague.interval() == (0.0, math.inf)


def test_a_lower_end_moves_on_without_a_jump_where_b_stops_being_told_from_zero():
    a = sample_mean([50.0, 50.1, 50.2])
    b = [SampleMean(1.0, variance, 2, 3) for variance in np.linspace(0.04, 0.07, 61)]
    ends = [ratio(a, one, least=0.0).interval()[0] for one in b]
    assert min(ends) > 0
    assert np.all(np.diff(ends) < 0)
    assert np.abs(np.diff(ends)).max() < 0.5


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_ratio_is_outside_its_interval_exactly_where_its_p_value_says_so(offset):
    draws = np.random.default_rng(0)
    for _ in range(300):
        a, b = (draws.lognormal(0, draws.uniform(0.1, 1.5), draws.integers(2, 6)) for _ in range(2))
        estimate = ratio(sample_mean(a), sample_mean(b), offset, least=0.0)
        low, high = estimate.interval()
        for rho in np.geomspace(0.01, 100, 9):
            x = rho - offset
            assert (estimate.p_value(x) < 0.05) == (not low <= x <= high), (a, b, x)


def test_an_arm_that_is_zero_in_every_run_has_a_ratio_of_zero_and_no_interval():
    estimate = ratio(sample_mean([0.0, 0.0, 0.0]), sample_mean([0.1, 0.2, 0.3]), least=0.0)
    assert estimate.value == 0
    assert estimate.interval() == (-math.inf, math.inf)
    assert "exactly 0" in estimate.note
