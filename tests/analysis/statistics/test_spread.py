import math

import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.spread import between_groups, between_ratio, spread_ratio

A = np.array([0.91, 0.94, 0.89, 0.97, 0.93])
B = np.array([0.62, 0.95, 0.80, 0.71, 0.93])


def test_at_ratio_one_the_test_is_brown_and_forsythes():
    estimate = spread_ratio(A, B)
    levene = stats.levene(A, B, center="median").statistic
    deviations = [np.abs(arm - np.median(arm)) for arm in (A, B)]
    df = stats.ttest_ind(deviations[0], estimate.value * deviations[1], equal_var=False).df
    assert estimate.p_value(1) == pytest.approx(2 * stats.t.sf(math.sqrt(levene), df))
    assert estimate.value == pytest.approx(deviations[0].mean() / deviations[1].mean())


def test_the_ratio_follows_the_scale_and_not_the_place():
    assert spread_ratio(3 * A + 7, A).value == pytest.approx(3)


def test_arms_of_unequal_size_and_equal_spread_have_a_ratio_near_one():
    rng = np.random.default_rng(0)
    first, second = (np.mean([np.abs(x - np.median(x)).mean() * math.sqrt(n / (n - 1))
                              for x in rng.normal(size=(4000, n))]) for n in (5, 20))  # fmt: skip
    assert first / second == pytest.approx(1, abs=0.07)
    found = [spread_ratio(rng.normal(size=200), rng.normal(size=50)).value for _ in range(200)]
    assert np.mean(found) == pytest.approx(1, abs=0.03)


def test_the_spread_between_groups_is_taken_seed_by_seed():
    groups = {"he": [0.9, 0.8], "xavier": [0.7, 0.8], "default": [0.1, 0.5]}
    expected = [np.std([0.9, 0.7, 0.1], ddof=1), np.std([0.8, 0.8, 0.5], ddof=1)]
    np.testing.assert_allclose(between_groups(groups), expected)


def test_a_norm_that_makes_the_inits_alike_shows_as_a_small_ratio():
    rng = np.random.default_rng(0)
    means = {"default": 0.1, "xavier": 0.3, "he": 0.93, "orthogonal": 0.9}
    without = {init: mean + rng.normal(0, 0.01, 5) for init, mean in means.items()}
    with_norm = {init: 0.96 + rng.normal(0, 0.01, 5) for init in means}
    estimate = between_ratio(with_norm, without)
    low, high = estimate.interval()
    assert 0 < low < estimate.value < high < 0.1


def test_groups_need_the_same_seeds_and_company():
    with pytest.raises(ValueError, match="two or more"):
        between_groups({"he": [0.9, 0.8]})
    with pytest.raises(ValueError, match="'xavier': 1"):
        between_groups({"he": [0.9, 0.8], "xavier": [0.7]})


def test_arms_without_any_spread_have_no_ratio():
    assert spread_ratio([0.1] * 5, [0.1] * 5).note
    assert "positive" in spread_ratio(A, [0.1] * 5).note
    assert "fewer than two" in spread_ratio([0.1], A).note


def test_an_arm_without_spread_against_one_with_some_has_a_ratio_of_zero_and_no_interval():
    found = spread_ratio([0.5, 0.5, 0.5], [0.4, 0.5, 0.7])
    alike = {"he": [0.5, 0.6, 0.7], "xavier": [0.5, 0.6, 0.7]}
    between = between_ratio(alike, {"he": [0.5, 0.6, 0.7], "xavier": [0.4, 0.8, 0.6]})
    for estimate in (found, between):
        assert estimate.value == 0
        assert estimate.interval() == (-math.inf, math.inf)
        assert "exactly 0" in estimate.note
