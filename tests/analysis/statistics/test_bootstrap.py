import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.bootstrap import SEED, bootstrap_difference


@pytest.fixture
def arms():
    rng = np.random.default_rng(3)
    return rng.gamma(4, size=12), rng.normal(size=15)


def test_unstretched_with_normal_quantiles_it_is_scipys_bca(arms):
    plain = replace(bootstrap_difference(*arms, df=20), stretch=1.0, df=math.inf)
    expected = stats.bootstrap(
        arms, lambda a, b, axis: a.mean(axis) - b.mean(axis), method="BCa", rng=np.random.default_rng(SEED)
    )
    assert (plain.ppf(0.025), plain.ppf(0.975)) == pytest.approx(tuple(expected.confidence_interval))


def test_the_p_value_is_the_level_at_which_the_interval_ends(arms):
    distribution = bootstrap_difference(*arms, df=20)
    for q in (0.01, 0.025, 0.3, 0.5, 0.8, 0.975):
        assert distribution.cdf(distribution.ppf(q)) == pytest.approx(q, abs=5e-4)


def test_the_stretch_makes_up_for_the_missing_degree_of_freedom_of_each_arm():
    rng = np.random.default_rng(0)
    distribution = bootstrap_difference(rng.normal(size=10), rng.normal(size=10), df=18)
    assert distribution.stretch == pytest.approx(math.sqrt(10 / 9))


def test_it_is_never_surer_than_its_resamples_allow(arms):
    distribution = bootstrap_difference(*arms, df=math.inf, resamples=99)
    smallest, largest = distribution.replicates[[0, -1]]
    assert 0 < distribution.cdf(-1e9) == distribution.cdf(smallest - 1)
    assert 1 > distribution.cdf(1e9) == distribution.cdf(largest + 1)
    assert distribution.ppf(1e-9) == pytest.approx(smallest, abs=0.01)


def test_a_one_sided_claim_is_not_doubted_on_its_open_side():
    rng = np.random.default_rng(1)
    skewed = bootstrap_difference(rng.normal(1, 0.01, size=10), 1 - rng.gamma(0.3, size=10) / 10, df=9.5)
    assert skewed.cdf(math.inf) == 1.0
    assert skewed.cdf(-math.inf) == 0.0


def test_the_same_runs_always_give_the_same_interval(arms):
    assert bootstrap_difference(*arms, df=20).ppf(0.025) == bootstrap_difference(*arms, df=20).ppf(0.025)
