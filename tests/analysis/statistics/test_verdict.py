import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnexp.analysis.statistics.difference import difference
from bnexp.analysis.statistics.divergence import compare_divergence
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.student import Student, mean
from bnexp.analysis.statistics.survival import time_ratio
from bnexp.analysis.statistics.target import Durations
from bnexp.analysis.statistics.verdict import Claim, judge


def estimate(value, error=1.0, n=10):
    """A normal estimate: its 95 % interval is value ± 1.96 error."""
    return Estimate(value, Student(value, error, math.inf), (n, n), "normal", unit_variance=n * error**2)


def verdict(claim):
    return judge([claim])[0]


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [
        (5.0, 3.0, math.inf, "supported"),
        (4.9, 3.0, math.inf, "undecided"),
        (1.0, 3.0, math.inf, "contradicted"),
        (1.0, -math.inf, 3.0, "supported"),
        (5.0, -math.inf, 3.0, "contradicted"),
        (0.5, -3.0, 3.0, "supported"),
        (1.5, -3.0, 3.0, "undecided"),
        (5.0, -3.0, 3.0, "contradicted"),
        (-5.0, -3.0, 3.0, "contradicted"),
        (0.0, -1.0, 1.0, "undecided"),
    ],
)
def test_a_claim_is_decided_exactly_when_the_whole_interval_lies_on_one_side(value, low, high, status):
    result = verdict(Claim("c", estimate(value), low, high))
    lower, upper = result.interval
    assert result.status == status
    assert (status == "supported") == (low <= lower and upper <= high)
    assert (status == "contradicted") == (upper < low or lower > high)


def test_the_p_value_of_a_single_claim_is_scipys_against_the_threshold():
    a, b = [0.95, 0.96, 0.94, 0.97], [0.90, 0.93, 0.91, 0.89]
    expected = stats.ttest_ind(np.array(a) - 0.01, b, equal_var=False).pvalue
    assert verdict(Claim("c", difference(a, b), low=0.01)).p_value == pytest.approx(expected)


def test_an_equivalence_claim_has_the_p_value_of_two_one_sided_tests():
    values = np.array([0.01, -0.02, 0.0, 0.015, -0.005])
    tests = [stats.ttest_1samp(values, bound, alternative=side) for bound, side in ((-0.03, "greater"), (0.03, "less"))]
    expected = 2 * max(test.pvalue for test in tests)
    assert verdict(Claim("c", mean(values), -0.03, 0.03)).p_value == pytest.approx(expected)


def test_several_claims_pay_for_each_other_and_say_so():
    alone = Claim("a", estimate(2.2), low=0)
    assert verdict(alone).status == "supported"
    together = judge([alone, Claim("b", estimate(0.5), low=0), Claim("c", estimate(9.0), low=0)])
    assert [result.status for result in together] == ["undecided", "undecided", "supported"]
    assert together[0].p_value == pytest.approx(2 * 2 * stats.norm.sf(2.2))
    assert "would decide alone" in together[0].explanation
    assert "(Holm, 3 claims)" in together[0].explanation


def test_an_undecided_claim_says_how_many_seeds_it_needs():
    result = verdict(Claim("c", estimate(1.0, error=1.0, n=10), low=0))
    assert result.seeds_needed == math.ceil(10 * (1.959964 + 0.841621) ** 2) == 79
    assert "needs about 79 seeds an arm" in result.explanation
    assert "over 1,000" in verdict(Claim("c", estimate(0.1), low=0)).explanation
    assert verdict(Claim("c", estimate(9.0), low=0)).seeds_needed is None


def test_never_fewer_seeds_are_asked_for_than_were_run():
    result = verdict(Claim("c", mean([1.0, 1.5]), low=0))  # alone, the formula would be content with two
    assert (result.status, result.seeds_needed) == ("undecided", 3)


def test_runs_without_a_known_spread_decide_nothing():
    result = verdict(Claim("c", difference([0.9], [0.1]), low=0))
    assert (result.status, result.p_value, result.seeds_needed) == ("undecided", 1, None)
    assert "fewer than two runs" in result.explanation


def test_the_explanation_is_one_line_of_claim_finding_and_doubt():
    result = verdict(Claim("c", estimate(5.0, error=1.0, n=5), low=1.0))
    assert result.explanation == (
        "claimed: at least 1; found: 5, 95% interval 3.04 to 6.96; "
        "the whole interval lies inside what is claimed; p < 0.0001; exploratory (few seeds)"
    )
    assert str(Claim("c", estimate(1), high=0.7)) == "at most 0.7"
    assert str(Claim("c", estimate(1), -0.01, 0.01)) == "between -0.01 and 0.01"


@pytest.mark.parametrize(("low", "high"), [(-math.inf, math.inf), (1.0, 0.0), (math.nan, 1.0)])
def test_a_claim_that_bounds_nothing_is_refused(low, high):
    with pytest.raises(ValueError, match="claim c: low"):
        Claim("c", estimate(1), low, high)


def test_no_claims_have_no_verdicts():
    assert judge([]) == []


# False positives: the truth lies on the threshold, so every decision is wrong
SIMULATIONS = 2000
MONTE_CARLO = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def share_decided(claims_of):
    rng = np.random.default_rng(0)
    wrong = [any(result.status != "undecided" for result in judge(claims_of(rng))) for _ in range(SIMULATIONS)]
    print(f"decided wrongly: {np.mean(wrong):.2%} of {SIMULATIONS}")
    return float(np.mean(wrong))


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_difference_on_the_threshold_is_decided_in_at_most_5_percent_of_studies(n):
    def claims(rng):
        return [Claim("c", difference(rng.normal(0.03, 0.01, n), rng.normal(0, 0.02, n)), low=0.03)]

    assert share_decided(claims) <= 0.05 + MONTE_CARLO


@pytest.mark.parametrize("n", [10, pytest.param(20, marks=pytest.mark.slow)])
def test_the_bootstrap_decides_a_difference_on_the_threshold_in_at_most_5_percent_of_studies(n):
    def claims(rng):
        return [Claim("c", difference(rng.normal(0.03, 0.01, n), rng.normal(0, 0.02, n)), low=0.03)]

    assert share_decided(claims) <= 0.05 + MONTE_CARLO


def test_two_equal_arms_are_told_apart_in_speed_in_at_most_5_percent_of_studies():
    def claims(rng):
        a, b = (np.minimum(np.ceil(rng.lognormal(1.5, 0.5, 5)), 10.0) for _ in range(2))  # epochs, of at most ten
        return [Claim("c", time_ratio(Durations(a, a < 10), Durations(b, b < 10), 10.0, resolution=1.0), high=1.0)]

    assert share_decided(claims) <= 0.05 + MONTE_CARLO


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5])
def test_two_equal_rates_of_divergence_are_told_apart_in_at_most_5_percent_of_studies(rate):
    def claims(rng):
        a, b = rng.binomial(5, rate, 2)
        return [Claim("c", compare_divergence(int(a), 5, int(b), 5).difference, low=0.0)]

    assert share_decided(claims) <= 0.05


def test_five_claims_that_share_a_baseline_are_all_left_open_in_at_least_95_percent_of_studies():
    def claims(rng):
        baseline = rng.normal(size=5)
        return [Claim(f"{i}", difference(rng.normal(size=5), baseline), low=0) for i in range(5)]

    assert share_decided(claims) <= 0.05


def test_true_claims_among_the_others_do_not_buy_false_ones():
    """Holm is less strict once a claim is decided; the share of studies with a wrong verdict must stay at 5 %."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(SIMULATIONS):
        baseline = rng.normal(size=5)
        claims = [Claim(f"{i}", difference(rng.normal(9 * (i < 2), 1, 5), baseline), low=0) for i in range(4)]
        decided = [result.status for result in judge(claims)]
        wrong += decided[2:] != ["undecided"] * 2 or "contradicted" in decided[:2]
    assert wrong / SIMULATIONS <= 0.05 + MONTE_CARLO


def test_an_equivalence_at_the_margin_is_decided_in_at_most_5_percent_of_studies():
    def claims(rng):
        return [Claim("c", difference(rng.normal(1.0, 0.5, 5), rng.normal(0, 0.5, 5)), -1.0, 1.0)]

    assert share_decided(claims) <= 0.05 + MONTE_CARLO


@given(st.floats(-1, 1), st.sampled_from([0.02, -0.02, 0.7, 0.9995, 0.0]), st.floats(-1e-4, 1e-4))
def test_a_number_is_written_on_its_own_side_of_what_is_claimed(value, bound, gap):
    for number in (value, bound + gap):
        if abs(number - bound) < 1e-8:
            continue
        text = Claim("c", Estimate.without_interval(number, (1, 1), "x"), low=bound).beside(number)
        assert (float(text) < bound, float(text) > bound) == (number < bound, number > bound)
        assert float(text) == pytest.approx(number, rel=0.01)


def test_a_threshold_is_written_as_it_was_declared():
    estimate = Estimate.without_interval(0.5, (1, 1), "x")
    assert str(Claim("c", estimate, low=0.9995)) == "at least 0.9995"
    assert str(Claim("c", estimate, high=0.02155)) == "at most 0.02155"
    assert str(Claim("c", estimate, low=-0.01, high=0.01)) == "between -0.01 and 0.01"


def test_an_estimate_without_an_interval_is_explained_without_one():
    [verdict] = judge([Claim("c", Estimate.without_interval(0.5, (5, 5), "no run arrived"), low=0.1)])
    assert "no interval" in verdict.explanation
    assert "inf" not in verdict.explanation
