import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.survival import common_horizon, kaplan_meier, log_rank, restricted_mean, time_ratio
from bnexp.analysis.statistics.target import NEVER, Durations


def arm(times, censored=()):
    """Times, of which those at the indices ``censored`` were not reached."""
    reached = np.ones(len(times), bool)
    reached[list(censored)] = False
    return Durations(np.array(times, float), reached)


# Freireich et al. 1963, Blood 21: weeks of remission of children with leukemia, the textbook example of both methods
SIX_MP = arm(
    [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35],
    censored=[3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20],
)
PLACEBO = arm([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])


def test_kaplan_meier_gives_the_published_curve_of_the_leukemia_trial():
    curve = kaplan_meier(SIX_MP)
    np.testing.assert_array_equal(curve.times, [6, 7, 10, 13, 16, 22, 23])
    np.testing.assert_allclose(curve.unreached, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)
    assert (curve.median, kaplan_meier(PLACEBO).median) == (23, 8)


def test_the_log_rank_test_gives_the_published_chi_squared_of_the_leukemia_trial():
    result = log_rank(SIX_MP, PLACEBO)
    assert result.chi_squared == pytest.approx(16.79, abs=0.005)
    assert result.p_value == pytest.approx(stats.chi2.sf(result.chi_squared, 1))


def test_kaplan_meier_is_scipys_ecdf_of_censored_data():
    rng = np.random.default_rng(0)
    times, censored = rng.integers(1, 12, 40).astype(float), rng.random(40) < 0.4
    expected = stats.ecdf(stats.CensoredData.right_censored(times, censored)).sf
    curve = kaplan_meier(Durations(times, ~censored))
    np.testing.assert_allclose(curve.unreached, expected.evaluate(curve.times))


def test_the_restricted_means_of_the_leukemia_trial_are_those_of_r():
    """survfit's print with rmean=35: 23.29 (se 2.83) and 8.67 (se 1.38), the standard errors without n/(n − 1)."""
    for data, mean, error in ((SIX_MP, 23.29, 2.83), (PLACEBO, 8.67, 1.38)):
        result = restricted_mean(data, 35)
        assert result.value == pytest.approx(mean, abs=0.005)
        assert math.sqrt(result.variance * 20 / 21) == pytest.approx(error, abs=0.005)


def test_a_run_cut_off_early_shares_its_weight_among_those_that_went_on():
    """By hand: of 1, 2+, 3, 4 the curve is 1, 3/4 from 1, 3/8 from 3, 0 from 4."""
    result = restricted_mean(arm([1, 2, 3, 4], censored=[1]), 4)
    assert result.value == pytest.approx(float(1 + Fraction(3, 4) * 2 + Fraction(3, 8)))
    after_1, after_3 = Fraction(3, 2) + Fraction(3, 8), Fraction(3, 8)
    greenwood = after_1**2 * Fraction(1, 4 * 3) + after_3**2 * Fraction(1, 2 * 1)
    assert result.variance == pytest.approx(float(greenwood * Fraction(4, 3)))


def test_without_early_cut_offs_it_is_the_mean_of_the_capped_times_with_its_usual_standard_error():
    data = arm([300, 500, 700, 1000, 1000, NEVER], censored=[4, 5])
    capped = np.minimum(data.times, 1000)
    result = restricted_mean(data, 1000)
    assert result.value == pytest.approx(capped.mean())
    assert math.sqrt(result.variance) == pytest.approx(stats.sem(capped))


def test_the_restricted_mean_is_unbiased_under_random_censoring():
    """E min(T, 1) = 1 − 1/e for T exponential; every other run is cut off at a time uniform on [0.2, 4]."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(4000):
        times = rng.exponential(size=30)
        cut = np.where(np.arange(30) % 2, rng.uniform(0.2, 4, 30), np.inf)
        data = Durations(np.minimum(times, cut), times <= cut)
        found.append(restricted_mean(data, 1.0).value)
    assert np.mean(found) == pytest.approx(1 - math.exp(-1), abs=3 * np.std(found) / math.sqrt(4000))


def test_dropping_the_censored_runs_instead_would_be_far_off():
    rng = np.random.default_rng(0)
    times = rng.exponential(size=20000)
    reached = times <= 1.0
    kept = restricted_mean(Durations(np.minimum(times, 1.0), reached), 1.0).value
    assert kept == pytest.approx(1 - math.exp(-1), abs=0.01)
    assert times[reached].mean() < 0.7 * kept


def test_agreement_on_a_coarse_evaluation_grid_is_not_certainty():
    data = arm([300] * 5)
    assert restricted_mean(data, 1000).variance == 0
    assert restricted_mean(data, 1000, resolution=100).variance == pytest.approx(100**2 / 12 / 5)


def test_the_ratio_of_two_arms_names_the_faster_one():
    fast, slow = arm([200, 250, 220, 210]), arm([500, 600, 550, 1000], censored=[3])
    estimate = time_ratio(fast, slow, 1000)
    assert estimate.value == pytest.approx(220 / 662.5)
    low, high = estimate.interval()
    assert low < estimate.value < high < 1


def test_where_no_run_reaches_the_target_nothing_is_claimed_about_speed():
    stuck = arm([1000, 1000, NEVER], censored=[0, 1, 2])
    estimate = time_ratio(stuck, stuck, 1000)
    assert estimate.interval() == (-math.inf, math.inf)
    assert "no run of either arm reached" in estimate.note
    assert (log_rank(stuck, stuck).chi_squared, log_rank(stuck, stuck).p_value) == (0, 1)


def test_arms_without_a_second_run_or_any_run_have_a_reason_instead_of_an_interval():
    assert "fewer than two" in time_ratio(arm([100]), arm([200, 300]), 300).note
    assert "fewer than two" in time_ratio(arm([]), arm([200, 300]), 300).note


def test_the_log_rank_test_takes_runs_that_diverged_and_arms_that_agree():
    assert log_rank(arm([5, 5]), arm([5, 5])).p_value == 1
    diverged = log_rank(arm([100, 200, 300]), arm([NEVER] * 3, censored=[0, 1, 2]))
    followed = log_rank(arm([100, 200, 300]), arm([300] * 3, censored=[0, 1, 2]))
    assert diverged == followed


def test_the_common_horizon_is_where_the_first_curve_runs_out():
    complete = arm([100, 700])
    assert common_horizon(complete, arm([100, 400], censored=[1])) == 400
    assert common_horizon(complete, arm([100, NEVER], censored=[1])) == 700
    assert common_horizon(complete, arm([900, 300]), arm([])) == 900
    with pytest.raises(ValueError, match="horizon=500 lies beyond 400"):
        restricted_mean(arm([100, 400], censored=[1]), 500)
