import math

import numpy as np
import pytest

from bnexp.analysis.statistics.sample import SampleMean, sample_mean, satterthwaite, why_unknown


def test_the_variance_is_that_of_the_mean():
    arm = sample_mean([1.0, 2.0, 3.0, 6.0])
    assert arm == SampleMean(3.0, 14 / 3 / 4, 3, 4)


def test_runs_that_agree_have_no_spread_even_where_their_mean_is_rounded():
    assert sample_mean([0.1] * 7).variance == 0
    assert why_unknown([sample_mean([0.1] * 7)]) == "the runs agree exactly: the spread over seeds is unknown"


def test_the_resolution_of_the_measurement_is_a_floor_under_the_spread():
    assert sample_mean([4.0] * 3, resolution=1.0).variance == pytest.approx(1 / 12 / 3)
    assert sample_mean([4.0, 9.0, 5.0], resolution=1.0) == sample_mean([4.0, 9.0, 5.0])


def test_one_run_tells_nothing_of_the_spread_and_no_run_nothing_at_all():
    assert math.isnan(sample_mean([0.5]).variance)
    assert why_unknown([sample_mean([0.5]), sample_mean([0.5, 0.6])]).startswith("fewer than two runs")
    assert math.isnan(sample_mean([]).value)


def test_a_run_without_a_number_is_not_dropped_in_silence():
    with pytest.raises(ValueError, match="finite"):
        sample_mean([0.5, math.nan])


def test_degrees_of_freedom_add_up_for_equal_variances_and_shrink_to_the_noisier_arm():
    assert satterthwaite([2.0, 2.0], [4, 4]) == pytest.approx(8)
    assert satterthwaite([1e9, 1.0], [4, 50]) == pytest.approx(4, rel=1e-6)
    assert satterthwaite(list(np.ones(3)), [1, 1, 1]) == pytest.approx(3)
