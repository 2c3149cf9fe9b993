"""What the runs of a study say: values of a metric, times to target and divergences, arm by arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from bnexp.analysis.arms import Arm
from bnexp.analysis.metrics import metric_range
from bnexp.analysis.runs import Run
from bnexp.analysis.same_data import is_same_data
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.student import mean
from bnexp.analysis.statistics.target import NEVER, Durations, durations, first_crossing, target_from_baseline
from bnexp.studies.study import Levels, Target

FINAL = (
    "test/accuracy",
    "test/loss",
    "val/accuracy",
    "val/loss",
    "best/test/accuracy",
    "best/val/accuracy",
    "best/epoch",
    "initial/loss",
)
LAST_ROW = ("train/accuracy", "train/loss")
SIGNALS = (
    "signal/effective_smoothness",
    "signal/gradient_change_max",
    "signal/hessian_largest",
    "signal/hessian_negative_fraction",
)
METRICS = (*FINAL, *LAST_ROW, "gap/accuracy", "seconds/step", *SIGNALS)
"""What can be known of a finished run: the metrics of ``result.json``; the last row's means over training steps;
``gap/accuracy``, that row's train/accuracy less its val/accuracy; the seconds of a training step; and the means over
the evaluations of signals of the whole network, where ``signals=full`` recorded them."""

CURVES = ("val/accuracy", "val/loss", *LAST_ROW)
"""Metrics that every evaluation has, and a target can be set for."""

UNITS = {"steps": "step", "epochs": "epoch", "seconds": "seconds"}
"""Units of time to target, each with its column in ``metrics.jsonl``; seconds are those of training steps alone."""


class Evidence:
    """The finished runs of each arm, and what the study measures them by.

    Args:
        arms: the arms with their finished runs (``done`` or ``diverged``); ``settings`` are the levels of the factors,
            empty for an arm outside of the factorial.
        target: what is to be reached, if there is something.
        baseline: label of the arm that a target without a value is taken from.
        no_target: why there is no target although one was declared.
        target_caution: what limits a verdict that rests on the target.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        target: Target | None = None,
        baseline: str = "",
        *,
        no_target: str = "",
        target_caution: str = "",
    ) -> None:
        self.arms = {arm.label: arm for arm in arms}
        self.runs = {arm.label: arm.runs for arm in arms}
        self.target = target
        self.baseline = baseline
        self.no_target = no_target
        self.target_caution = target_caution

    @cached_property
    def target_value(self) -> float | None:
        """The value to reach; None where none is set, or the baseline it comes from has none, as it has no run, say."""
        if self.target is None or self.target.value is not None:
            return None if self.target is None else self.target.value
        pick, worst = (max, -math.inf) if self.target.higher_is_better else (min, math.inf)
        curves = [_curve(run, self.target.metric) for run in self.runs[self.baseline]]
        # A run without any value has the worst there can be: the median of the others would be that of better runs.
        best = [pick([worst, *(value for value in curve if math.isfinite(value))]) for curve in curves]
        value = target_from_baseline(best) if best else math.nan
        return value if math.isfinite(value) else None

    def select(self, levels: Levels) -> list[Arm]:
        """Return the arms of the factorial at these levels."""
        return [arm for arm in self.arms.values() if arm.settings and levels.items() <= arm.settings.items()]

    def values(self, label: str, metric: str, seeds: Sequence[int] | None = None) -> list[float]:
        """Return the metric of each finished run of an arm (of these seeds), in order of seeds.

        Raises:
            ValueError: where a run diverged so far that it has no such number; dropping it would flatter the arm.
        """
        chosen = [run for run in self.runs[label] if seeds is None or run.seed in seeds]
        found = [measure(run)[metric] for run in chosen]
        numbers = [value for value in found if value is not None]
        missing = [run for run, value in zip(chosen, found, strict=True) if value is None]
        if missing:
            reason = "diverged and " if all(run.status == "diverged" for run in missing) else ""
            raise ValueError(f"{len(missing)} of {len(found)} runs of {label} {reason}have no {metric}")
        return numbers

    def mean(self, label: str, metric: str) -> Estimate:
        """Return an arm's mean with Student's interval; unknown, with the reason, where a run has no such number."""
        try:
            values = self.values(label, metric)
        except ValueError as error:
            return Estimate.without_interval(math.nan, (len(self.runs[label]),), str(error))
        return mean(values, self.resolution(label, metric)).within(*metric_range(metric))

    def is_same_data(self, *labels: str, metric: str = "test/accuracy") -> bool:
        """Whether the runs of these arms were judged on the same examples, so that their numbers can be compared."""
        return is_same_data((run for label in labels for run in self.runs[label]), metric)

    def is_complete(self, label: str, metric: str) -> bool:
        """Whether every finished run of an arm has a metric: what is left of another arm is its better runs."""
        return all(measure(run)[metric] is not None for run in self.runs[label])

    def seeds(self, *labels: str) -> list[int]:
        """Return the seeds of which every one of these arms has a finished run."""
        return sorted(set.intersection(*({run.seed for run in self.runs[label]} for label in labels)))

    def resolution(self, label: str, metric: str) -> float:
        """Return the smallest step in which a metric can differ between runs: 1/N for accuracies on N examples."""
        return self.arms[label].resolution(metric)

    def crossing(self, run: Run, unit: str) -> float | None:
        """Return when a run first reached the target, in ``unit``; None if it did not, or there is no target."""
        if self.target is None or self.target_value is None:
            return None
        grid = [float(row[UNITS[unit]] or 0.0) for row in run.rows]
        curve = _curve(run, self.target.metric)
        return first_crossing(grid, curve, self.target_value, higher_is_better=self.target.higher_is_better)

    def durations(self, label: str, unit: str) -> Durations:
        """Return the times to target of an arm's finished runs: until its end for a run that did not arrive in time,
        ``NEVER`` for one that diverged."""
        runs = self.runs[label]
        ends = [NEVER if run.status == "diverged" else float(run.rows[-1][UNITS[unit]] or 0.0) for run in runs]
        return durations([self.crossing(run, unit) for run in runs], ends)

    def grid(self, label: str, unit: str) -> float:
        """Return the time between two evaluations, within which a crossing is not seen; 0 for seconds."""
        if unit == "seconds" or not self.runs[label]:
            return 0.0
        return float(self.runs[label][0].rows[0][UNITS[unit]] or 0.0)


def measure(run: Run) -> dict[str, float | None]:
    """Return all :data:`METRICS` of a finished run; None for what is not a finite number."""
    last = run.rows[-1] if run.rows else {}
    found = {name: run.metrics.get(name) for name in FINAL} | {name: last.get(name) for name in LAST_ROW}
    train, val = last.get("train/accuracy"), last.get("val/accuracy")
    found["gap/accuracy"] = None if train is None or val is None else train - val
    found |= {name: _mean(_curve(run, name)) for name in SIGNALS}
    steps = run.result["steps"]
    found["seconds/step"] = run.result["seconds"]["train"] / steps if steps else None
    return found


def _curve(run: Run, metric: str) -> list[float]:
    return [math.nan if (value := row.get(metric)) is None else float(value) for row in run.rows]


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean; None where there is none, or a value is missing: the others would flatter the run."""
    mean = math.fsum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None
