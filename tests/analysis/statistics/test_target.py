import math

import numpy as np
import pytest

from bnexp.analysis.statistics.target import NEVER, durations, first_crossing, target_from_baseline

GRID = [100, 200, 300, 400]


def test_the_target_is_the_median_of_the_baselines_best_values():
    assert target_from_baseline([0.91, 0.95, 0.90, 0.93]) == pytest.approx(0.92)


def test_the_first_evaluation_at_or_past_the_target_counts_even_if_the_run_falls_back():
    assert first_crossing(GRID, [0.2, 0.8, 0.5, 0.9], 0.8, higher_is_better=True) == 200
    assert first_crossing(GRID, [2.0, 1.5, 0.9, 0.1], 1.0, higher_is_better=False) == 300


def test_a_run_that_never_reaches_the_target_has_no_crossing_and_a_nan_is_none():
    assert first_crossing(GRID, [0.2, 0.3, 0.4, 0.5], 0.8, higher_is_better=True) is None
    assert first_crossing(GRID, [0.2, math.nan, math.nan, math.nan], 0.1, higher_is_better=False) is None
    assert first_crossing([], [], 0.1, higher_is_better=True) is None


def test_runs_that_did_not_reach_the_target_keep_the_time_they_were_followed():
    arm = durations([200, None, None], [400, 400, NEVER])
    np.testing.assert_array_equal(arm.times, [200, 400, math.inf])
    np.testing.assert_array_equal(arm.reached, [True, False, False])
