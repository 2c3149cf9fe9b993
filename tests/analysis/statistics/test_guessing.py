"""What chance can do, by adding up binomial probabilities one by one."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnexp.analysis.few_examples import Measured, few_examples
from bnexp.analysis.statistics.guessing import Answers, binomial_interval, chance_ceiling, is_coarse, may_guess


def chance_of_more(right: int, num_examples: int, p: Fraction) -> Fraction:
    counts = range(right + 1, num_examples + 1)
    return sum((comb(num_examples, k) * p**k * (1 - p) ** (num_examples - k) for k in counts), Fraction(0))


@given(st.integers(1, 60), st.integers(1, 9))
def test_the_ceiling_is_the_least_that_guessing_seldom_exceeds(num_examples: int, tenths: int) -> None:
    p = Fraction(tenths, 10)
    k = round(chance_ceiling(float(p), num_examples) * num_examples)
    assert chance_of_more(k, num_examples, p) <= Fraction(135, 100_000)
    assert k == 0 or chance_of_more(k - 1, num_examples, p) > Fraction(135, 100_000)


def test_thirteen_of_fifteen_may_be_guessed_at_even_chances_and_97_of_100_may_not() -> None:
    assert chance_ceiling(0.5, 15) == 13 / 15
    few, many = Answers(13 / 15, 15), Answers(0.97, 100)
    assert may_guess(0.5, [few])
    assert not may_guess(0.5, [few, many])  # one split that tells is enough
    assert not may_guess(0.5, [many])


def test_the_share_of_the_majority_is_guessed_on_imbalanced_data() -> None:
    assert may_guess(0.95, [Answers(0.95, 400), Answers(0.96, 100)])
    assert may_guess(0.95, [Answers(math.nan, 400), Answers(0.97, 100)])
    assert not may_guess(0.95, [Answers(0.99, 400)])
    assert may_guess(0.95, [Answers(math.nan, 400)])  # no score says nothing for it


@given(st.integers(1, 300), st.data())
def test_the_interval_is_scipys_exact_one(num_examples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, num_examples))
    exact = stats.binomtest(right, num_examples).proportion_ci(0.95, method="exact")
    assert binomial_interval(right / num_examples, num_examples) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "num_examples", "coarse"),
    [
        (1.0, 15, True),
        (0.9, 15, True),
        (0.5, 100, True),
        (0.9, 60, True),
        (1.0, 100, False),
        (0.97, 360, False),
        (0.9, 1000, False),
        (0.5, 10_000, False),
    ],
)
def test_few_examples_are_those_that_leave_more_than_5_points_on_either_side(
    accuracy: float, num_examples: int, coarse: bool
) -> None:
    low, high = stats.binomtest(round(accuracy * num_examples), num_examples).proportion_ci(0.95, method="exact")
    assert (high - low > 0.1) is coarse
    assert is_coarse(accuracy, num_examples) is coarse


def test_a_line_names_the_step_and_the_interval_of_what_is_least_certain() -> None:
    lines = few_examples(
        [
            Measured("test", Answers(0.97, 360)),
            Measured("val", Answers(1.0, 15)),
            Measured("val", Answers(14 / 15, 15)),
        ]
    )
    low, high = stats.binomtest(14, 15).proportion_ci(0.95, method="exact")
    assert lines == [
        "few examples: an accuracy on 15 validation examples changes in steps of 0.067, and one of 0.9333 may stand "
        f"for {low:.4f} to {high:.4f} (95%, binomial)"
    ]
