"""Whether arms were compared at learning rates that are fair to each, and how high a rate each one stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from bnexp.analysis.statistics.difference import difference
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.seeds_needed import ALPHA
from bnexp.analysis.statistics.student import mean

Edge = Literal["lowest", "highest", "only"]


@dataclass(frozen=True)
class Trial:
    """One run of the learning-rate grid. Accuracies are fractions, NaN where the run has no score.

    ``guesses`` says that it answers no better than guessing may (:mod:`bnexp.analysis.statistics.guessing`).
    """

    arm: str
    lr: float
    seed: int
    validation: float
    test: float
    diverged: bool = False
    guesses: bool = False


@dataclass(frozen=True)
class Choice:
    """A learning rate picked for an arm; ``edge`` names the end of the grid it lies at, if it does."""

    lr: float
    edge: Edge | None


@dataclass(frozen=True)
class Reversal:
    """Two arms whose order at a ``common`` rate is the opposite of that at each one's ``best``.

    Both estimates are ``first`` − ``second``, of test accuracy.
    """

    first: str
    second: str
    lr: float
    common: Estimate
    best: Estimate


def unfair_grids(trials: Sequence[Trial]) -> list[str]:
    """Return a line for every arm whose learning rates or number of trials differ from the first arm's."""
    counts = {arm: Counter(trial.lr for trial in trials if trial.arm == arm) for arm in _arms(trials)}
    reference, expected = next(iter(counts.items()), ("", Counter()))
    return [
        f"{arm}: runs per lr {_spell(grid)}, but {reference}: {_spell(expected)}"
        for arm, grid in counts.items()
        if grid != expected
    ]


def best_rates(trials: Sequence[Trial]) -> dict[str, Choice]:
    """Return each arm's learning rate of the highest mean validation accuracy, the smaller one among equals.

    A rate at which a run has no score is worse than any other, and an arm of such rates alone is left out. The test set
    takes no part. Pick on one set of seeds and report on fresh ones: the winner of a grid is lucky too.
    """
    picked = {}
    for arm in _arms(trials):
        rates = _rates(trials, arm)
        means = {lr: _mean([trial.validation for trial in _at(trials, arm, lr)]).value for lr in rates}
        known = [lr for lr in rates if math.isfinite(means[lr])]
        if known:
            best = max(known, key=means.__getitem__)
            picked[arm] = Choice(best, _edge(best, rates))
    return picked


def largest_stable_rates(trials: Sequence[Trial]) -> dict[str, Choice | None]:
    """Return each arm's largest learning rate at which no seed diverged, guesses or is without a score.

    None if there is none. At the "highest" edge the true limit lies beyond the grid.
    """
    stable: dict[str, Choice | None] = {}
    for arm in _arms(trials):
        rates = _rates(trials, arm)
        sound = [lr for lr in rates if all(map(_trained, _at(trials, arm, lr)))]
        stable[arm] = Choice(sound[-1], _edge(sound[-1], rates)) if sound else None
    return stable


def common_rate_table(trials: Sequence[Trial], resolution: float = 0.0) -> dict[float, dict[str, Estimate]]:
    """Return the mean test accuracy of every arm at every learning rate, with Student's interval.

    ``resolution`` as in :func:`sample.sample_mean`.
    """
    return {
        lr: {arm: _mean(_tests(trials, arm, lr), resolution) for arm in _arms(trials) if _tests(trials, arm, lr)}
        for lr in sorted({trial.lr for trial in trials})
    }


def best_rate_table(trials: Sequence[Trial], best: dict[str, Choice], resolution: float = 0.0) -> dict[str, Estimate]:
    """Return the mean test accuracy of each arm at its own best learning rate, with Student's interval."""
    return {arm: _mean(_tests(trials, arm, choice.lr), resolution) for arm, choice in best.items()}


def reversals(trials: Sequence[Trial], best: dict[str, Choice], resolution: float = 0.0) -> list[Reversal]:
    """Return where the story turns round between the tables: both 95 % intervals exclude 0, and the signs differ.

    Bjorck 2018 found one for batch norm: far ahead at a high common rate, equal at a low one.
    """
    found = []
    for first, second in combinations(best, 2):
        fair = _difference(_tests(trials, first, best[first].lr), _tests(trials, second, best[second].lr), resolution)
        for lr in sorted(set(_rates(trials, first)) & set(_rates(trials, second))):
            common = _difference(_tests(trials, first, lr), _tests(trials, second, lr), resolution)
            certain = max(fair.p_value(), common.p_value()) <= ALPHA
            if certain and fair.value * common.value < 0:
                found.append(Reversal(first, second, lr, common, fair))
    return found


def _arms(trials: Sequence[Trial]) -> list[str]:
    return [*dict.fromkeys(trial.arm for trial in trials)]


def _rates(trials: Sequence[Trial], arm: str) -> list[float]:
    return sorted({trial.lr for trial in trials if trial.arm == arm})


def _at(trials: Sequence[Trial], arm: str, lr: float) -> list[Trial]:
    return [trial for trial in trials if trial.arm == arm and trial.lr == lr]


def _tests(trials: Sequence[Trial], arm: str, lr: float) -> list[float]:
    return [trial.test for trial in _at(trials, arm, lr)]


def _mean(accuracies: Sequence[float], resolution: float = 0.0) -> Estimate:
    """Return their mean, a share of 1; unknown where a run has no score, as the others are the better runs."""
    if lacking := _num_without_score(accuracies):
        note = f"{lacking} of {len(accuracies)} runs have no score"
        return Estimate.without_interval(math.nan, (len(accuracies),), note)
    return mean(accuracies, resolution).within(0.0, 1.0)


def _difference(a: Sequence[float], b: Sequence[float], resolution: float) -> Estimate:
    if lacking := _num_without_score([*a, *b]):
        note = f"{lacking} of {len(a) + len(b)} runs have no score"
        return Estimate.without_interval(math.nan, (len(a), len(b)), note)
    return difference(a, b, resolution).within(-1.0, 1.0)


def _num_without_score(accuracies: Sequence[float]) -> int:
    return sum(map(math.isnan, accuracies))


def _trained(trial: Trial) -> bool:
    return not (trial.diverged or trial.guesses or math.isnan(trial.validation))


def _edge(lr: float, rates: list[float]) -> Edge | None:
    if len(rates) == 1:
        return "only"
    if lr == rates[0]:
        return "lowest"
    return "highest" if lr == rates[-1] else None


def _spell(grid: Counter[float]) -> str:
    return ", ".join(f"{lr:g}×{count}" for lr, count in sorted(grid.items()))
