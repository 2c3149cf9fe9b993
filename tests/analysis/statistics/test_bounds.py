"""Intervals of what has a range stay within it, and are else those that scipy finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bnexp.analysis.metrics import difference_range, metric_range
from bnexp.analysis.statistics.difference import compare, difference
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.student import mean
from bnexp.analysis.statistics.verdict import Claim, judge

ACCURACIES = st.lists(st.integers(0, 50).map(lambda k: k / 50), min_size=2, max_size=12)
LOSSES = st.lists(st.floats(0, 1e6), min_size=2, max_size=6)


@given(ACCURACIES)
def test_the_interval_of_a_mean_accuracy_is_students_cut_to_0_and_1(values: list[float]) -> None:
    assume(np.ptp(values) > 0)
    found = mean(values).within(*metric_range("test/accuracy"))
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert found.interval() == pytest.approx((max(low, 0), min(high, 1)), abs=1e-9)
    assert 0 <= found.interval()[0] <= found.value <= found.interval()[1] <= 1


@given(ACCURACIES, ACCURACIES)
def test_a_difference_of_accuracies_stays_between_minus_1_and_1(a: list[float], b: list[float]) -> None:
    found = compare(a, b, 1 / 50, within=metric_range("best/val/accuracy"))
    low, high = found.points.interval()
    assert -1 <= low <= found.points.value + 1e-9
    assert found.points.value - 1e-9 <= high <= 1
    assert found.relative.note or found.relative.interval()[0] >= -1


@given(LOSSES)
def test_a_mean_that_is_never_negative_has_no_negative_end(values: list[float]) -> None:
    found = mean(values, 1e-3).within(*metric_range("val/loss"))
    assert found.interval()[0] >= 0


@given(ACCURACIES, st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_a_verdict_inside_the_range_is_what_it_would_be_without(values: list[float], one: float, two: float) -> None:
    low, high = sorted((one, two))
    plain = mean(values, 1 / 50)
    [cut] = judge([Claim("", plain.within(0, 1), low, high)])
    [whole] = judge([Claim("", plain, low, high)])
    assert (cut.status, cut.p_value) == (whole.status, whole.p_value)


@given(ACCURACIES, st.sampled_from([0.0, 1.0]))
def test_an_end_of_the_range_is_refused_only_where_the_interval_leaves_it_out(values: list[float], end: float) -> None:
    found = mean(values, 1 / 50).within(0, 1)
    low, high = found.interval()
    assume(abs(low - end) > 1e-6 or low == end)
    assume(abs(high - end) > 1e-6 or high == end)
    assert (found.p_value(end) > 0.05) == (low <= end <= high)


def test_coverage_stays_as_it_is_where_the_truth_is_near_the_end() -> None:
    """The share of 2,000 studies of three runs whose interval holds the truth; what is cut off never held it."""
    rng = np.random.default_rng(0)
    runs = 1 - rng.beta(1, 30, size=(2000, 3))
    truth = 30 / 31
    held = {"plain": 0, "cut": 0}
    for values in runs:
        plain: Estimate = mean([*values])
        for name, found in (("plain", plain), ("cut", plain.within(0, 1))):
            low, high = found.interval()
            held[name] += low <= truth <= high
    assert held["cut"] == held["plain"]


def test_what_lies_outside_of_a_range_or_has_no_interval_is_left_alone() -> None:
    negative = mean([-1.0, -2.0])  # a loss of somebody's own
    assert negative.within(0, math.inf) is negative
    unknown = difference([0.5], [0.6])
    assert unknown.within(-1, 1) is unknown


@pytest.mark.parametrize(
    ("metric", "ends", "differences"),
    [
        ("test/accuracy", (0, 1), (-1, 1)),
        ("best/test/accuracy", (0, 1), (-1, 1)),
        ("gap/accuracy", (-1, 1), (-2, 2)),
        ("val/loss", (0, math.inf), (-math.inf, math.inf)),
        ("seconds/step", (0, math.inf), (-math.inf, math.inf)),
        ("signal/hessian_largest", (-math.inf, math.inf), (-math.inf, math.inf)),
        ("signal/hessian_negative_fraction", (0, 1), (-1, 1)),
    ],
)
def test_ranges(metric: str, ends: tuple[float, float], differences: tuple[float, float]) -> None:
    assert metric_range(metric) == ends
    assert difference_range(metric) == differences
