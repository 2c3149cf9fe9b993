"""The kinds of claims: which estimate each is about. A kind's keyword parameters are the keys of a claim of that kind.

The mark in a parameter's annotation says what its value must name; :mod:`bnexp.studies.definition` checks it before
anything is run. What the methods take for granted is told in ``docs/statistics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from bnexp.analysis.arms import coarsest
from bnexp.analysis.metrics import difference_range, metric_range
from bnexp.analysis.statistics import difference as differences
from bnexp.analysis.statistics import factorial, spread, student, survival
from bnexp.analysis.statistics.divergence import compare_divergence
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.learning_rate import Trial, best_rates
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import Values, sample_mean
from bnexp.studies.evidence import Evidence
from bnexp.studies.study import DeclaredClaim

ArmLabel = Annotated[str, "arm"]
Metric = Annotated[str, "metric"]
Factor = Annotated[str, "factor"]
Pair = Annotated[Sequence[str], "two levels"]
"""Two levels of the factor that the parameter ``factor`` names."""
FactorPair = Annotated[Mapping[str, Sequence[str]], "a factor's two levels"]
Levels = Annotated[Mapping[str, str], "levels"]
"""Levels of factors that choose arms of the factorial, ``{norm: batch}``."""
VALIDATION = "val/accuracy"
"""What a level is chosen by."""
Unit = Literal["steps", "epochs", "seconds"]


def level(evidence: Evidence, *, a: ArmLabel, metric: Metric) -> Estimate:
    """The mean of one arm."""
    return student.mean(evidence.values(a, metric), evidence.resolution(a, metric)).within(*metric_range(metric))


def difference(evidence: Evidence, *, a: ArmLabel, b: ArmLabel, metric: Metric) -> Estimate:
    """Mean of A less mean of B, in points."""
    resolution = evidence.resolution(a, metric)
    found = differences.difference(evidence.values(a, metric), evidence.values(b, metric), resolution)
    return found.within(*difference_range(metric))


def paired_difference(evidence: Evidence, *, a: ArmLabel, b: ArmLabel, metric: Metric) -> Estimate:
    """Mean over seeds of A less B of the same seed."""
    seeds = evidence.seeds(a, b)
    first, second = evidence.values(a, metric, seeds), evidence.values(b, metric, seeds)
    found = differences.paired_difference(first, second, evidence.resolution(a, metric))
    return found.within(*difference_range(metric))


def relative_difference(evidence: Evidence, *, a: ArmLabel, b: ArmLabel, metric: Metric) -> Estimate:
    """Mean of A over mean of B, less 1: 0.1 is 10 % more."""
    first, second = (sample_mean(evidence.values(arm, metric), evidence.resolution(arm, metric)) for arm in (a, b))
    return ratio(first, second, offset=1.0, least=0.0 if metric_range(metric)[0] >= 0 else -math.inf)


def time_ratio(evidence: Evidence, *, a: ArmLabel, b: ArmLabel, unit: Unit) -> Estimate:
    """Restricted mean time to target of A over that of B; below 1, A is faster."""
    if evidence.no_target:
        raise ValueError(f"not judged: {evidence.no_target}")
    if evidence.target_value is None:
        raise ValueError("there is no target: the baseline it comes from has no finished run, or too few with a score")
    first, second = evidence.durations(a, unit), evidence.durations(b, unit)
    if not (len(first.times) and len(second.times)):
        raise ValueError("no finished run of an arm")
    resolution = max(evidence.grid(a, unit), evidence.grid(b, unit))
    return survival.time_ratio(first, second, survival.common_horizon(first, second), resolution)


def main_effect(
    evidence: Evidence, *, factor: Factor, levels: Pair, metric: Metric, where: Levels | None = None
) -> Estimate:
    """Marginal mean of the second level of a factor less that of the first; all cells count the same."""
    cells: dict[tuple[str, str], Values] = {}
    arms = evidence.select(where or {})
    for arm in arms:
        others = ", ".join(f"{name}={value}" for name, value in arm.settings.items() if name != factor)
        if arm.settings[factor] in levels:
            cells[arm.settings[factor], others] = evidence.values(arm.label, metric)
    found = factorial.main_effect(cells, 0, (levels[0], levels[1]), coarsest(arms, metric))
    return found.within(*difference_range(metric))


def interaction(
    evidence: Evidence, *, rows: FactorPair, columns: FactorPair, metric: Metric, where: Levels | None = None
) -> Estimate:
    """What the change of the columns does at the second row, less what it does at the first."""
    (row, row_levels), (column, column_levels) = *rows.items(), *columns.items()
    cells: dict[tuple[str, str], Values] = {}
    arms = evidence.select(where or {})
    for arm in arms:
        cells[arm.settings[row], arm.settings[column]] = evidence.values(arm.label, metric)
    first, second = ((pair[0], pair[1]) for pair in (row_levels, column_levels))
    found = factorial.interaction_contrast(cells, first, second, coarsest(arms, metric))
    return found.within(*difference_range(metric, arms=4))


def spread_ratio(evidence: Evidence, *, a: ArmLabel, b: ArmLabel, metric: Metric) -> Estimate:
    """Spread over seeds of A over that of B; its square compares variances."""
    return spread.spread_ratio(evidence.values(a, metric), evidence.values(b, metric))


def between_ratio(evidence: Evidence, *, a: Levels, b: Levels, over: Factor, metric: Metric) -> Estimate:
    """Standard deviation over the levels of a factor in the arms at levels A, over that at levels B."""
    families = [{arm.settings[over]: arm.label for arm in evidence.select(levels)} for levels in (a, b)]
    seeds = evidence.seeds(*families[0].values(), *families[1].values())
    groups = [{name: evidence.values(label, metric, seeds) for name, label in family.items()} for family in families]
    return spread.between_ratio(*groups)


def divergence_difference(evidence: Evidence, *, a: ArmLabel | Levels, b: ArmLabel | Levels) -> Estimate:
    """Share of diverged runs in A less that in B; an arm, or all arms at some levels together."""
    counts = []
    for chosen in (a, b):
        labels = [chosen] if isinstance(chosen, str) else [arm.label for arm in evidence.select(chosen)]
        counts += [sum(evidence.arms[label].num_diverged for label in labels)]
        counts += [sum(len(evidence.runs[label]) for label in labels)]
    return compare_divergence(*counts).difference


def best_difference(evidence: Evidence, *, a: Levels, b: Levels, over: Factor, metric: Metric) -> Estimate:
    """Difference of A and B, each at its own best level of a factor such as the learning rate.

    The level is chosen by validation accuracy on the seeds 0, 2, 4, …; the difference is that of the seeds 1, 3, 5, …:
    the winner of a search is lucky too.
    """
    (best_a, level_a), (best_b, level_b) = _best_arm(evidence, a, over), _best_arm(evidence, b, over)
    first, second = (evidence.values(arm, metric, _seeds(evidence, arm, 1)) for arm in (best_a, best_b))
    estimate = differences.difference(first, second, evidence.resolution(best_a, metric))
    estimate = estimate.within(*difference_range(metric))
    return replace(estimate, method=f"{estimate.method}, {over} = {level_a} and {level_b}")


KINDS: dict[str, Callable[..., Estimate]] = {
    "level": level,
    "difference": difference,
    "paired_difference": paired_difference,
    "relative_difference": relative_difference,
    "equivalence": difference,
    "time_ratio": time_ratio,
    "main_effect": main_effect,
    "interaction": interaction,
    "spread_ratio": spread_ratio,
    "between_ratio": between_ratio,
    "divergence_difference": divergence_difference,
    "best_difference": best_difference,
}
"""The functions by kind; the threshold of an equivalence is a ``margin`` on both sides of 0."""


def estimate(claim: DeclaredClaim, evidence: Evidence) -> Estimate:
    """Return what the runs say about a claim; without an interval, and with the reason, where they cannot say it."""
    try:
        _refuse_other_data(claim, evidence)
        return KINDS[claim.kind](evidence, **claim.arguments)
    except ValueError as error:
        return Estimate.without_interval(math.nan, _num_runs(claim, evidence), str(error))


def _refuse_other_data(claim: DeclaredClaim, evidence: Evidence) -> None:
    """An accuracy less one on other data means nothing; how often runs diverge can be compared all the same."""
    metric = claim.arguments.get("metric", VALIDATION)
    if claim.kind != "divergence_difference" and not evidence.is_same_data(*_arms(claim, evidence), metric=metric):
        raise ValueError("its arms are of different data, so that their numbers cannot be compared")


def _arms(claim: DeclaredClaim, evidence: Evidence) -> list[str]:
    """Return the labels of the arms that a claim is about."""
    named: list[str] = []
    for key in ("a", "b", "where"):
        chosen = claim.arguments.get(key)
        if isinstance(chosen, str):
            named.append(chosen)
        elif isinstance(chosen, Mapping):
            named += [arm.label for arm in evidence.select(chosen)]
    return named or [arm.label for arm in evidence.select({})]


def _num_runs(claim: DeclaredClaim, evidence: Evidence) -> tuple[int, ...]:
    labels = [value for value in claim.arguments.values() if isinstance(value, str) and value in evidence.runs]
    return tuple(len(evidence.runs[label]) for label in labels or evidence.runs)


def _best_arm(evidence: Evidence, levels: Mapping[str, str], over: str) -> tuple[str, str]:
    """Return the label of the best arm at ``levels`` and its level of ``over``, with a mark at the edge of the grid."""
    arms = {float(arm.settings[over]): arm for arm in evidence.select(levels)}
    trials = [
        # The last evaluation: a diverged run is at chance there, or has no score, whatever it was before.
        Trial(
            "", rate, run.seed, validation=math.nan if (value := run.metrics[VALIDATION]) is None else value, test=0.0
        )
        for rate, arm in arms.items()
        for run in arm.runs
        if run.seed % 2 == 0
    ]
    if not trials:
        raise ValueError("no finished run of an even seed to choose by")
    best = best_rates(trials).get("")
    if best is None:
        raise ValueError(f"every level of {over} has a run without a score")
    return arms[best.lr].label, arms[best.lr].settings[over] + (" (edge of the grid)" if best.edge else "")


def _seeds(evidence: Evidence, label: str, remainder: int) -> list[int]:
    return [run.seed for run in evidence.runs[label] if run.seed % 2 == remainder]
