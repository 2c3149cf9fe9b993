"""The rows of a comparison: each arm's mean over its runs, and its difference to the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnexp.analysis.arms import Arm
from bnexp.analysis.metrics import metric_range
from bnexp.analysis.statistics.difference import Difference, probability_above
from bnexp.analysis.statistics.difference import compare as difference_to
from bnexp.analysis.statistics.estimate import CONFIDENCE, Estimate
from bnexp.analysis.statistics.multiplicity import benjamini_hochberg
from bnexp.analysis.statistics.student import mean
from bnexp.errors import ConfigError, did_you_mean
from bnexp.training.record import finite


@dataclass(frozen=True)
class Row:
    """One arm in a comparison.

    Attributes:
        values: the metric of each run that has it, in the order of the arm's runs.
        mean: their mean with Student's interval; without one where a run lacks the metric.
        difference: to the baseline; None for the baseline itself. Without an interval where a run of either lacks the
            metric; such a run is below all others in the chance to be above the baseline.
        p_adjusted: p-value of "no difference", adjusted for all rows with an interval (Benjamini–Hochberg); 1 without.
        best: whether no other arm has a better mean. An arm that lacks the metric of some runs is not eligible.

    A run lacks an accuracy where the network had no answer (:mod:`bnexp.training.answers`): it has no score. What is
    left of such an arm is its better runs.
    """

    arm: Arm
    values: tuple[float, ...]
    mean: Estimate
    difference: Difference | None
    p_adjusted: float | None
    best: bool

    @property
    def num_missing(self) -> int:
        """How many of the arm's runs lack the metric."""
        return len(self.arm.runs) - len(self.values)


@dataclass(frozen=True)
class Comparison:
    """Arms compared by one metric of ``result.json``, each with the same baseline."""

    metric: str
    baseline: Arm
    rows: tuple[Row, ...]


def compare(arms: Sequence[Arm], metric: str, baseline: Arm) -> Comparison:
    """Compare ``arms``, of which ``baseline`` is one.

    Raises:
        ConfigError: where no run records the metric.
    """
    known = {name for arm in arms for run in arm.runs for name in run.metrics}
    if metric not in known:
        names = ", ".join(sorted(known))
        raise ConfigError(
            f"{metric}: no run records such a metric{did_you_mean(metric, sorted(known))} (there are: {names})"
        )
    values = [_values(arm, metric) for arm in arms]
    means = [_mean(arm, metric) for arm in arms]
    differences = [None if arm is baseline else _difference(arm, baseline, metric) for arm in arms]
    p_values = _adjusted(differences)
    best = _best(arms, values, means, higher_is_better(metric))
    rows = [
        Row(arm, sample, estimate, found, p, best=arm in best)
        for arm, sample, estimate, found, p in zip(arms, values, means, differences, p_values, strict=True)
    ]
    return Comparison(metric, baseline, tuple(rows))


def _mean(arm: Arm, metric: str) -> Estimate:
    found = mean(_values(arm, metric), arm.resolution(metric)).within(*metric_range(metric))
    return _without_interval(found, _lack(metric, arm))


def _difference(arm: Arm, baseline: Arm, metric: str) -> Difference:
    resolution = max(arm.resolution(metric), baseline.resolution(metric))
    found = difference_to(_values(arm, metric), _values(baseline, metric), resolution, metric_range(metric))
    if not (lack := _lack(metric, arm, baseline)):
        return found
    ranks = [_ranks(each, metric) for each in (arm, baseline)]
    return replace(
        found,
        points=_without_interval(found.points, lack),
        relative=_without_interval(found.relative, lack),
        hedges_g=math.nan,
        probability_above=probability_above(*ranks),
    )


def _lack(metric: str, *arms: Arm) -> str:
    """Say which runs lack the metric, empty where none does: an interval of the others would be that of better runs."""
    counts = [(len(arm.runs) - len(_values(arm, metric)), len(arm.runs)) for arm in arms]
    lacks = " and ".join(f"{lacking} of {total}" for lacking, total in counts if lacking)
    return f"{lacks} runs without {name_of(metric)}" if lacks else ""


def name_of(metric: str) -> str:
    """Return what a run that lacks ``metric`` is without."""
    return "a score" if "accuracy" in metric else f"a finite {metric}"


def _without_interval(found: Estimate, reason: str) -> Estimate:
    if not reason or not math.isfinite(found.value):
        return found
    return Estimate.without_interval(found.value, found.n, reason)


def _ranks(arm: Arm, metric: str) -> list[float]:
    """Return the arm's values with the worst there can be for the runs that lack one; these are worse than any."""
    higher = higher_is_better(metric)
    if higher is None:
        return list(_values(arm, metric))
    worst = -math.inf if higher else math.inf
    found = [run.metrics.get(metric) for run in arm.runs]
    return [worst if value is None else value for value in found]


def _adjusted(differences: Sequence[Difference | None]) -> list[float | None]:
    """Return the p-value of each difference among those that have an interval; the others were not put to a test."""
    tested = [found for found in differences if found is not None and not found.points.note]
    p_values = iter(benjamini_hochberg([found.points.p_value() for found in tested]) if tested else [])
    return [None if found is None else 1.0 if found.points.note else next(p_values) for found in differences]


def higher_is_better(metric: str) -> bool | None:
    """Whether more of ``metric`` is better; None where neither is (``best/epoch``)."""
    if "accuracy" in metric:
        return True
    return False if "loss" in metric else None


def cells(comparison: Comparison) -> list[list[str]]:
    """Return the table as text: the header, and a row for each arm."""
    metric = comparison.metric
    header = ["arm", "n", "diverged", f"{metric} [95 % CI]", "difference [95 % CI]", "P(> baseline)"]
    return [header, *(_row(row, metric) for row in comparison.rows)]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data; what is not finite is null."""
    arms = [
        {
            "label": row.arm.label,
            "settings": dict(row.arm.settings),
            "n": len(row.arm.runs),
            "diverged": row.arm.num_diverged,
            "seeds": [run.seed for run in row.arm.runs],
            "values": row.values,
            "without_value": row.num_missing,
            "mean": row.mean.value,
            "interval": row.mean.interval(),
            "best": row.best,
            "difference": None if row.difference is None else _difference_json(row.difference, row.p_adjusted),
        }
        for row in comparison.rows
    ]
    plain: dict[str, Any] = finite(
        {
            "metric": comparison.metric,
            "confidence": CONFIDENCE,
            "baseline": comparison.baseline.label,
            "arms": arms,
        }
    )
    return plain


def number(value: float, metric: str, digits: int = 4, sign: str = "") -> str:
    """Write a value of ``metric``: accuracies to 0.0001, others to so many digits; ``–`` where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:{sign}.4f}" if "accuracy" in metric else f"{value:{sign}.{digits}g}"


def signed(value: float, metric: str) -> str:
    """Write a difference of ``metric``."""
    return number(value, metric, 3, "+")


def _values(arm: Arm, metric: str) -> tuple[float, ...]:
    found = (run.metrics.get(metric) for run in arm.runs)
    return tuple(value for value in found if value is not None)


def _best(
    arms: Sequence[Arm], values: Sequence[Sequence[float]], means: Sequence[Estimate], higher: bool | None
) -> list[Arm]:
    complete = [
        (estimate.value, arm)
        for arm, sample, estimate in zip(arms, values, means, strict=True)
        if len(sample) == len(arm.runs)
    ]
    if higher is None or len(complete) < 2:
        return []
    top = (max if higher else min)(value for value, _ in complete)
    return [arm for value, arm in complete if value == top]


def _row(row: Row, metric: str) -> list[str]:
    centre = number(row.mean.value, metric)
    if not row.mean.note:
        centre += f" {_interval(row.mean, lambda end: number(end, metric))}"
    runs = len(row.arm.runs)
    n = f"{len(row.values)} of {runs}" if row.num_missing else str(runs)
    if row.num_missing:
        centre += f" ({row.num_missing} of {runs} without {name_of(metric)})"
    if row.difference is None:
        gap, chance = "baseline", ""
    else:
        points = row.difference.points
        gap = signed(points.value, metric)
        if not points.note:
            gap += f" {_interval(points, lambda end: signed(end, metric))}"
        known = math.isfinite(row.difference.probability_above)
        chance = f"{row.difference.probability_above:.2f}" if known else "–"
    return [row.arm.label, n, str(row.arm.num_diverged), centre + (" best" if row.best else ""), gap, chance]


def _interval(found: Estimate, write: Callable[[float], str]) -> str:
    low, high = found.interval()
    return f"[{write(low)}, {write(high)}]"


def _difference_json(found: Difference, p_adjusted: float | None) -> dict[str, Any]:
    return {
        "points": found.points.value,
        "interval": found.points.interval(),
        "method": found.points.method,
        "note": found.points.note,
        "p_value": found.points.p_value(),
        "p_adjusted": p_adjusted,
        "relative": found.relative.value,
        "relative_interval": found.relative.interval(),
        "hedges_g": found.hedges_g,
        "probability_above": found.probability_above,
    }
