import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import zt_ind_solve_power

from bnexp.analysis.statistics.difference import difference
from bnexp.analysis.statistics.divergence import compare_divergence
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import sample_mean
from bnexp.analysis.statistics.seeds_needed import seeds_per_arm, seeds_to_decide
from bnexp.analysis.statistics.student import welch


@pytest.mark.parametrize(("sd", "difference", "seeds"), [(0.19, 0.3, 7), (0.56, 0.5, 20), (0.15, 0.1, 36)])
def test_the_published_spreads_of_cifar10_need_the_known_numbers_of_seeds(sd, difference, seeds):
    assert seeds_per_arm(difference, sd, sd) == seeds


def test_it_is_the_smallest_number_with_the_power_asked_for():
    for effect in (0.4, 0.9, 2.5):
        exact = zt_ind_solve_power(effect_size=effect, alpha=0.01, power=0.9)
        assert seeds_per_arm(effect, 1, 1, power=0.9, alpha=0.01) == int(np.ceil(exact))


def test_with_the_seeds_asked_for_a_difference_is_found_in_four_of_five_studies():
    draws = np.random.default_rng(0).normal(0, 0.56, (2, 2000, 20))
    p_values = stats.ttest_ind(draws[0] + 0.5, draws[1], axis=1, equal_var=False).pvalue
    assert (p_values < 0.05).mean() == pytest.approx(0.8, abs=0.03)


def test_no_number_of_seeds_shows_a_difference_of_zero():
    with pytest.raises(ValueError, match="difference=0"):
        seeds_per_arm(0, 1, 1)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (3, 10), (12, 12), (500, 500)])
def test_an_estimate_asks_for_the_seeds_that_its_own_spreads_imply(sizes):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(mean, sd, n) for mean, sd, n in zip((1.0, 0.0), (1.0, 0.2), sizes, strict=True))
    estimate = difference(a, b)
    expected = seeds_per_arm(estimate.value - 0.1, a.std(ddof=1), b.std(ddof=1))
    assert seeds_to_decide(estimate, 0.1) == expected


def test_a_ratio_asks_for_the_seeds_that_the_spread_of_many_ratios_implies():
    rng = np.random.default_rng(0)
    a, b = rng.normal(3.0, 0.3, 100_000), rng.normal(2.0, 0.1, 100_000)
    of_hundred = (a.reshape(-1, 100).mean(1) / b.reshape(-1, 100).mean(1)).var()
    estimate = ratio(sample_mean(a), sample_mean(b))
    assert estimate.unit_variance == pytest.approx(100 * of_hundred, rel=0.1)


def test_shares_of_diverged_runs_have_the_spread_of_a_coin_and_none_is_certain():
    few = compare_divergence(3, 3, 0, 3).difference
    many = compare_divergence(300, 1000, 700, 1000).difference
    assert many.unit_variance == pytest.approx(2 * 0.3 * 0.7, rel=0.01)
    assert few.unit_variance == pytest.approx(2 * 4 / 5 * 1 / 5)
    assert seeds_to_decide(few, 0.0) >= 3


def test_no_number_is_given_where_the_spread_is_unknown_or_the_estimate_on_the_threshold():
    assert seeds_to_decide(Estimate.without_interval(0.1, (1, 1), "one run"), 0.0) is None
    assert seeds_to_decide(welch(sample_mean([1.0, 2.0]), sample_mean([0.0, 1.0])), 1.0) is None
