import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import zt_ind_solve_power

from bnexp.analysis.statistics.estimate import Estimate
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


def test_an_estimate_asks_for_the_seeds_that_its_own_spread_implies():
    rng = np.random.default_rng(0)
    a, b = (sample_mean(rng.normal(mean, 1, 500)) for mean in (0.3, 0.0))
    estimate = welch(a, b)
    expected = seeds_per_arm(estimate.value - 0.1, *(np.sqrt(arm.variance * 500) for arm in (a, b)))
    assert seeds_to_decide(estimate, 0.1) == pytest.approx(expected, rel=0.01)


def test_no_number_is_given_where_the_spread_is_unknown_or_the_estimate_on_the_threshold():
    assert seeds_to_decide(Estimate.without_interval(0.1, (1, 1), "one run"), 0.0) is None
    assert seeds_to_decide(welch(sample_mean([1.0, 2.0]), sample_mean([0.0, 1.0])), 1.0) is None
