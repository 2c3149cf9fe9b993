import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd

from bnexp.analysis.statistics.difference import compare, difference, hedges_g, paired_difference, probability_above

RNG = np.random.default_rng(1)
SEED_LUCK = RNG.normal(0, 0.03, 12)
A, B = (0.9 + SEED_LUCK + RNG.normal(0, 0.004, 12)), (0.88 + SEED_LUCK + RNG.normal(0, 0.004, 12))


def test_welch_answers_below_ten_runs_of_the_smaller_arm_and_the_bootstrap_from_ten():
    assert difference(A[:9], B).method == "Welch"
    assert difference(A[:10], B).method == "BCa bootstrap"
    assert difference(A[:9], B).interval() == pytest.approx(
        tuple(stats.ttest_ind(A[:9], B, equal_var=False).confidence_interval())
    )


def test_the_bootstrap_of_normal_runs_agrees_with_welch():
    expected = stats.ttest_ind(A, B, equal_var=False)
    assert difference(A, B).interval() == pytest.approx(tuple(expected.confidence_interval()), abs=0.005)


def test_an_arm_that_never_varies_is_not_resampled():
    assert difference([0.1] * 10, A).method == "Welch"
    assert difference([0.1] * 10, A, resolution=0.001).method == "Welch"
    assert difference([0.1] * 10, [0.1] * 10).interval() == (-math.inf, math.inf)
    low, high = difference([0.1] * 10, [0.1] * 10, resolution=0.001).interval()
    assert -0.001 < low < 0 < high < 0.001


def test_pairs_of_one_seed_cancel_the_luck_that_both_arms_share():
    paired = paired_difference(A, B)
    expected = stats.ttest_rel(A, B)
    assert paired.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert paired.p_value() == pytest.approx(expected.pvalue)
    assert paired.unit_variance == pytest.approx(np.var(np.subtract(A, B), ddof=1))
    assert paired.unit_variance < difference(A, B).unit_variance / 9


def test_pairs_that_differ_by_rounding_alone_have_no_spread():
    assert "agree exactly" in paired_difference([0.3, 0.1 + 0.2, 0.7], [0.1 + 0.2, 0.3, 0.7]).note
    with pytest.raises(ValueError, match="2 and 1 runs"):
        paired_difference([0.1, 0.2], [0.1])


def test_the_relative_difference_is_in_shares_of_the_baseline():
    result = compare([0.55, 0.54, 0.56], [0.50, 0.51, 0.49])
    assert result.points.value == pytest.approx(0.05)
    assert result.relative.value == pytest.approx(0.10)
    low, high = result.relative.interval()
    assert low < 0.10 < high


def test_hedges_g_is_statsmodels_bias_corrected_effect_size():
    expected, _ = effectsize_smd(A.mean(), A.std(ddof=1), 12, B[:8].mean(), B[:8].std(ddof=1), 8)
    assert hedges_g(A, B[:8]) == pytest.approx(expected, rel=1e-3)  # statsmodels takes 1 − 3/(4m − 1) for J


def test_hedges_g_is_unbiased_for_three_runs_an_arm():
    rng = np.random.default_rng(0)
    found = [hedges_g(rng.normal(1, 1, 3), rng.normal(0, 1, 3)) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / math.sqrt(4000))


def test_effect_sizes_without_a_spread_are_not_numbers():
    assert math.isnan(hedges_g([0.5, 0.5], [0.6, 0.6]))
    assert math.isnan(hedges_g([0.5], [0.6, 0.7]))


def test_the_probability_of_being_above_is_mann_whitneys_u_per_pair():
    a, b = np.round(A, 2), np.round(B[:7], 2)
    assert probability_above(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    assert probability_above([1.0, 1.0], [1.0]) == 0.5
    assert math.isnan(probability_above([], [1.0]))
