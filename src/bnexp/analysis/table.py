"""The rows of a comparison: each arm's mean over its runs, and its difference to the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnexp.analysis.arms import Arm
from bnexp.analysis.statistics.difference import Difference
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
        mean: their mean with Student's interval.
        difference: to the baseline; None for the baseline itself.
        p_adjusted: p-value of "no difference", adjusted for all rows with an interval (Benjamini–Hochberg); 1 without.
        best: whether no other arm has a better mean. An arm that lacks the metric of some runs is not eligible.
    """

    arm: Arm
    values: tuple[float, ...]
    mean: Estimate
    difference: Difference | None
    p_adjusted: float | None
    best: bool


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
    steps = [arm.resolution(metric) for arm in arms]
    means = [mean(sample, step) for sample, step in zip(values, steps, strict=True)]
    reference, own = next((v, step) for arm, v, step in zip(arms, values, steps, strict=True) if arm is baseline)
    differences = [
        None if arm is baseline else difference_to(v, reference, max(step, own))
        for arm, v, step in zip(arms, values, steps, strict=True)
    ]
    p_values = _adjusted(differences)
    best = _best(arms, values, means, higher_is_better(metric))
    rows = [
        Row(arm, sample, estimate, found, p, best=arm in best)
        for arm, sample, estimate, found, p in zip(arms, values, means, differences, p_values, strict=True)
    ]
    return Comparison(metric, baseline, tuple(rows))


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
    header = ["arm", "n", "diverged", f"{metric} ± 95 % CI", "difference [95 % CI]", "P(> baseline)"]
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
    low, high = row.mean.interval()
    centre = f"{number(row.mean.value, metric)} ± {number((high - low) / 2, metric, 2)}" if row.values else "–"
    runs = len(row.arm.runs)
    n = str(runs) if len(row.values) == runs else f"{len(row.values)} of {runs}"
    if row.difference is None:
        gap, chance = "baseline", ""
    else:
        points = row.difference.points
        low, high = points.interval()
        gap = f"{signed(points.value, metric)} [{signed(low, metric)}, {signed(high, metric)}]"
        chance = f"{row.difference.probability_above:.2f}" if math.isfinite(points.value) else "–"
    return [row.arm.label, n, str(row.arm.num_diverged), centre + (" best" if row.best else ""), gap, chance]


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
