"""How often the 95 % intervals hold the truth, on synthetic runs whose truth is known.

`pytest tests/analysis/statistics/test_coverage.py -m "slow or not slow" -rP` prints the numbers of docs/statistics.md.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator
from scipy.stats import norm

from bnexp.analysis.statistics.difference import difference, paired_difference
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.factorial import interaction_contrast
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import sample_mean
from bnexp.analysis.statistics.spread import between_ratio, spread_ratio
from bnexp.analysis.statistics.student import mean
from bnexp.analysis.statistics.survival import restricted_mean, time_ratio
from bnexp.analysis.statistics.target import Durations

SIMULATIONS = 2000


def coverage(draw: Callable[[Generator], Estimate], truth: float) -> float:
    rng = np.random.default_rng(1)
    intervals = np.array([draw(rng).interval() for _ in range(SIMULATIONS)])
    share = float(((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean())
    print(f"coverage {share:.1%}, {SIMULATIONS:,} simulations")
    return share


def accuracies(rng, n):
    """Skewed like accuracies near their ceiling: 1 − Gamma(2, 0.02), mean 0.96, sd 0.028."""
    return 1 - rng.gamma(2, 0.02, n)


def capped(rng, median, n):
    """Times to target: log-normal with a spread of 0.4, those beyond the budget of 10 censored."""
    times = median * rng.lognormal(0, 0.4, n)
    return Durations(np.minimum(times, 10.0), times <= 10)


def capped_mean(median):
    """E min(T, 10) = m e^(σ²/2) Φ((ln(10/m) − σ²)/σ) + 10 (1 − Φ(ln(10/m)/σ)), σ = 0.4."""
    room = math.log(10 / median)
    return median * math.exp(0.08) * norm.cdf((room - 0.16) / 0.4) + 10 * norm.sf(room / 0.4)


def interrupted(rng, n):
    """Exponential times of which a third are cut off early, at a time uniform on [0.5, 4]."""
    times, cut = rng.exponential(size=n), np.where(rng.random(n) < 1 / 3, rng.uniform(0.5, 4, n), 50.0)
    return Durations(np.minimum(times, cut), times <= cut)


def matched(rng, n):
    luck = rng.normal(0, 0.03, n)
    return paired_difference(0.02 + luck + rng.normal(0, 0.01, n), luck + rng.normal(0, 0.01, n))


def shared_luck(rng):
    luck = rng.normal(0, 0.02, 5)
    return difference(0.02 + luck + rng.normal(0, 0.01, 5), luck + rng.normal(0, 0.01, 5))


def failing(rng, n):
    """Nine runs in ten reach 0.9, one stays at chance, 0.1."""
    return np.where(rng.random(n) < 0.1, 0.1, 0.9) + rng.normal(0, 0.01, n)


def not_widened(a, b):
    estimate = difference(a, b)
    return replace(estimate, distribution=replace(estimate.distribution, stretch=1.0, df=math.inf))


def cells(rng, n):
    """A 2 × 2 factorial whose interaction is 4 and whose cells differ in spread."""
    means, spreads = {"11": 0, "12": 1, "21": 2, "22": 7}, {"11": 1, "12": 0.5, "21": 2, "22": 1}
    drawn = {(cell[0], cell[1]): rng.normal(means[cell], spreads[cell], n) for cell in means}
    return interaction_contrast(drawn, ("1", "2"), ("1", "2"))


def between(rng, n):
    """Four inits: without norm 0.3 apart with runs of sd 0.1, with norm 0.1 apart."""
    families = ({f"{i}": rng.normal(gap * i, 0.1, n) for i in range(4)} for gap in (0.1, 0.3))
    return between_ratio(*families)


def mean_spread(gap):
    """E of the standard deviation over four inits ``gap`` apart, from 400,000 draws."""
    noise = np.random.default_rng(0).normal(0, 0.1, (400_000, 4))
    return (noise + gap * np.arange(4)).std(axis=1, ddof=1).mean()


TIMES = capped_mean(4) / capped_mean(7)
BETWEEN = mean_spread(0.1) / mean_spread(0.3)

NOMINAL = {
    "mean of 3 normal runs": (lambda rng: mean(rng.normal(0.9, 0.02, 3)), 0.9),
    "mean of 5 normal runs": (lambda rng: mean(rng.normal(0.9, 0.02, 5)), 0.9),
    "Welch, 5 and 5 runs, sd 1 and 3": (lambda rng: difference(rng.normal(1, 1, 5), rng.normal(0, 3, 5)), 1.0),
    "Welch, 9 and 5 runs, sd 3 and 1": (lambda rng: difference(rng.normal(1, 3, 9), rng.normal(0, 1, 5)), 1.0),
    "Welch, 5 and 5 skewed accuracies": (lambda rng: difference(accuracies(rng, 5), accuracies(rng, 5) - 0.1), 0.1),
    "BCa, 10 and 10 runs, sd 1 and 3": (lambda rng: difference(rng.normal(1, 1, 10), rng.normal(0, 3, 10)), 1.0),
    "BCa, 10 and 10 skewed accuracies": (lambda rng: difference(accuracies(rng, 10), accuracies(rng, 10) - 0.1), 0.1),
    "BCa, 20 and 20 runs, sd 1 and 3": (lambda rng: difference(rng.normal(1, 1, 20), rng.normal(0, 3, 20)), 1.0),
    "paired, 5 seeds": (lambda rng: matched(rng, 5), 0.02),
    "Fieller, 5 and 5 runs": (
        lambda rng: ratio(sample_mean(rng.normal(0.8, 0.1, 5)), sample_mean(rng.normal(0.5, 0.1, 5)), offset=1),
        0.6,
    ),
    "interaction contrast, 5 runs a cell": (lambda rng: cells(rng, 5), 4.0),
    "time ratio, 5 and 5 runs": (lambda rng: time_ratio(capped(rng, 4, 5), capped(rng, 7, 5), 10), TIMES),
    "time ratio, 10 and 10 runs": (lambda rng: time_ratio(capped(rng, 4, 10), capped(rng, 7, 10), 10), TIMES),
    "time ratio, 20 and 20 runs, a third cut off": (
        lambda rng: time_ratio(interrupted(rng, 20), interrupted(rng, 20), 1.0),
        1.0,
    ),
    "spread ratio, 10 and 10 runs": (lambda rng: spread_ratio(rng.normal(0, 1, 10), rng.normal(0, 1, 10)), 1.0),
    "between-group ratio, 4 inits × 5 seeds": (lambda rng: between(rng, 5), BETWEEN),
    "between-group ratio, 4 inits × 10 seeds": (lambda rng: between(rng, 10), BETWEEN),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "20 and 20 runs, sd" in name else ()) for name in NOMINAL]
)
def test_the_interval_holds_the_truth_in_93_to_97_of_100_studies(name):
    draw, truth = NOMINAL[name]
    assert 0.93 <= coverage(draw, truth) <= 0.97


CAUTIOUS = {
    "Welch, 2 and 2 runs": (lambda rng: difference(rng.normal(1, 1, 2), rng.normal(0, 1, 2)), 1.0),
    "Welch, 3 and 3 runs": (lambda rng: difference(rng.normal(1, 1, 3), rng.normal(0, 1, 3)), 1.0),
    "interaction contrast, 2 runs a cell": (lambda rng: cells(rng, 2), 4.0),
    "time ratio, 3 and 3 runs": (lambda rng: time_ratio(capped(rng, 4, 3), capped(rng, 7, 3), 10), TIMES),
    "spread ratio, 5 and 5 runs": (lambda rng: spread_ratio(rng.normal(0, 1, 5), rng.normal(0, 1, 5)), 1.0),
    "Welch on 5 and 5 runs of the same seeds": (shared_luck, 0.02),
}


@pytest.mark.parametrize("name", CAUTIOUS)
def test_where_the_interval_misses_95_percent_it_is_for_being_too_wide(name):
    draw, truth = CAUTIOUS[name]
    assert coverage(draw, truth) >= 0.95


SHORT = {
    f"{name}, {n} and {n} runs, one in ten fails": (
        lambda rng, n=n: difference(failing(rng, n), rng.normal(0.5, 0.01, n)),
        0.9 * 0.9 + 0.1 * 0.1 - 0.5,
    )
    for name, n in (("Welch", 5), ("BCa", 10), ("BCa", 20))
} | {
    "BCa, 10 log-normal and 10 normal runs": (
        lambda rng: difference(rng.lognormal(0, 1, 10), rng.normal(0, 1, 10)),
        math.exp(0.5),
    ),
    "scipy's BCa, not widened, 10 and 10 runs, sd 1 and 3": (
        lambda rng: not_widened(rng.normal(1, 1, 10), rng.normal(0, 3, 10)),
        1.0,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_the_documented_weak_spots_are_weak(name):
    """Ten runs show no failure in 0.9^10 = 35 % of studies, and nothing in the data can tell: docs/statistics.md."""
    draw, truth = SHORT[name]
    assert coverage(draw, truth) < 0.93


def test_the_restricted_means_standard_error_is_the_spread_of_its_estimates():
    rng = np.random.default_rng(0)
    found = [restricted_mean(interrupted(rng, 15), 1.0) for _ in range(SIMULATIONS)]
    spread = np.std([arm.value for arm in found], ddof=1)
    assert math.sqrt(np.mean([arm.variance for arm in found])) == pytest.approx(spread, rel=0.06)
