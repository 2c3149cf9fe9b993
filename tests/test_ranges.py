"""Which values each range takes, where its borders are, and how a refusal is worded."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Optional

import pytest

from bnexp.ranges import (
    Count,
    Finite,
    Fraction,
    Interval,
    Natural,
    NonNegative,
    Place,
    Portion,
    Positive,
    Probability,
    canonical,
    violation,
)

SMALLEST = sys.float_info.min  # the least float that PyTorch does not flush to zero
BELOW_ONE = math.nextafter(1.0, 0.0)

ACCEPTED = [
    (Finite, [-1e308, -1, 0, 2.5, 1e308]),
    (Positive, [SMALLEST, 1, 1e308]),
    (NonNegative, [0, 0.0, SMALLEST, 3]),
    (Fraction, [0, 0.0, 0.5, BELOW_ONE]),
    (Portion, [SMALLEST, 0.5, 1, 1.0]),
    (Probability, [0, 0.5, 1]),
    (Count, [1, 2, 10**9]),
    (Natural, [0, 1, 10**9]),
    (Annotated[float, Interval(low=1, high=2, open_low=True, open_high=True)], [math.nextafter(1, 2), 1.5]),
]
REFUSED = [
    (Positive, [0, 0.0, -SMALLEST, -1]),
    (NonNegative, [-SMALLEST, -1]),
    (Fraction, [-SMALLEST, 1, 1.0, 2]),
    (Portion, [0, math.nextafter(1, 2)]),
    (Probability, [-SMALLEST, math.nextafter(1, 2)]),
    (Count, [0, -1, 1.0, 1.5]),
    (Natural, [-1, 0.0]),
    (Annotated[float, Interval(low=1, high=2, open_low=True, open_high=True)], [1, 2]),
]


def pairs(table):
    return [(annotation, value) for annotation, values in table for value in values]


@pytest.mark.parametrize(("annotation", "value"), pairs(ACCEPTED))
def test_values_within_a_range_break_no_rule(annotation, value):
    assert violation(value, annotation) is None


@pytest.mark.parametrize(("annotation", "value"), pairs(REFUSED))
def test_values_beyond_a_range_break_its_rule(annotation, value):
    assert violation(value, annotation).startswith("must be ")


@pytest.mark.parametrize("annotation", [annotation for annotation, _ in ACCEPTED])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, False, "1", None, [1], {}])
def test_no_range_takes_what_is_no_finite_number(annotation, value):
    assert violation(value, annotation) is not None


def test_a_whole_number_too_large_for_a_float_is_refused():
    assert violation(10**400, Count) == "must be a whole number of at most 64 bits"
    assert violation(10**400, Positive) == "must be finite and greater than 0"


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, Positive, 1.0),
        (0, Fraction | None, 0.0),
        ([0, 0.5], list[Fraction], [0.0, 0.5]),
        (1, Count, 1),
        (64, Count | Literal["full"], 64),
        (1, float | int, 1),
        (True, bool, True),
        (None, Positive | None, None),
        ("1", str, "1"),
    ],
)
def test_a_number_is_of_the_kind_that_its_parameter_asks_for(value, annotation, expected):
    found = canonical(value, annotation)
    assert found == expected
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "rule"),
    [
        (0, Positive, "must be greater than 0"),
        (-1, NonNegative, "must be at least 0"),
        (1, Fraction, "must be at least 0 and less than 1"),
        (0, Portion, "must be greater than 0 and at most 1"),
        (math.inf, Finite, "must be finite"),
        (math.nan, Positive, "must be finite and greater than 0"),
        ("abc", Positive, "must be a number"),
        (True, float, "must be a number"),
        (2.0, Count, "must be a whole number"),
        (0, Count, "must be at least 1"),
        (1, bool, "must be true or false"),
        (1, str, "must be text"),
        (None, Place, "must be text"),
        (0, None, "must be null"),
        ("befor", Literal["before", "after"], "must be one of before, after"),
        (7, Literal["before", "after"], "must be one of before, after"),
        (0, Positive | None, "must be greater than 0 or null"),
        ("x", Optional[bool], "must be true or false or null"),  # noqa: UP045  (typing.Union on Python 3.11)
        (0, Count | Literal["full"], "must be at least 1 or one of full"),
        (0.5, list[Fraction], "must be a list"),
        ("ab", Sequence[str], "must be a list"),
        ([0.5, 1.0], list[Fraction], "must be at least 0 and less than 1"),
        ([0.5, None], tuple[float, ...], "must be a number"),
    ],
)
def test_the_rule_that_is_broken_is_named(value, annotation, rule):
    assert violation(value, annotation) == rule


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, Positive | None),
        (0.1, Positive | None),
        ("full", Count | Literal["full"]),
        (64, Count | Literal["full"]),
        ([], list[Fraction]),
        ([0.5, 0.75], list[Fraction]),
        ((1, 2), Sequence[int]),
        ("here", Place),
        (object(), Callable[[], int]),
    ],
)
def test_values_that_keep_the_rules_pass(value, annotation):
    assert violation(value, annotation) is None


@pytest.mark.parametrize("value", [True, 1.0])
def test_a_literal_compares_types_too(value):
    assert violation(value, Literal[1]).startswith("must be one of 1")
