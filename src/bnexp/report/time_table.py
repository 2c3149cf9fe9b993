"""How soon each arm reaches the target, when some of its runs never do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from bnexp.analysis.arms import Arm
from bnexp.analysis.statistics.student import contrast
from bnexp.analysis.statistics.survival import common_horizon, kaplan_meier, log_rank, restricted_mean, time_ratio
from bnexp.analysis.statistics.target import Durations
from bnexp.report.document import Block, Column, Table
from bnexp.report.numbers import NONE, amount, between, general, interval, p_value, why_no_interval
from bnexp.report.outcome import Outcome

COLUMNS = (
    "reached",
    "median {unit}",
    "mean {unit}",
    "95 % interval",
    "ratio to baseline",
    "95 % interval",
    "log-rank p",
    "median seconds",
)


def time_unit(outcome: Outcome) -> Literal["steps", "epochs"]:
    """Return steps; epochs where arms have different numbers of them: a step is then not the same work in each.

    The means are restricted to what every arm was given, and with batches of 1,000 and of 1 that is a handful of steps.
    """
    return "steps" if len({job.num_steps for job in outcome.plan.jobs}) == 1 else "epochs"


def time_blocks(outcome: Outcome) -> tuple[Block, ...]:
    """Return the table of times to target with the words that it needs; a sentence where there is no target."""
    if outcome.target is None:
        study = outcome.plan.study
        if study.no_target:
            return (f"No target: {study.no_target}.",)
        why = "The target comes from the baseline, which has no finished run, or too few with a score."
        return (why if study.target else "The study sets no target.",)
    target, value = outcome.target
    unit = time_unit(outcome)
    durations = {arm.label: outcome.evidence.durations(arm.label, unit) for arm in outcome.arms if arm.runs}
    if not durations:
        return ("No run has finished.",)
    horizon = common_horizon(*durations.values())
    rows = tuple(_time_row(outcome, arm, durations, horizon) for arm in outcome.arms if arm.label not in outcome.twins)
    where = "at least" if target.higher_is_better else "at most"
    reading = f"Target: {target.metric} {where} {general(value)}" + (
        ", the median of the baseline's best values." if target.value is None else "."
    )
    if unit == "epochs":
        reading += " Times are in epochs: the arms have different numbers of steps."
    if math.isfinite(horizon):
        reading += (
            f" The means are restricted: the time spent short of the target, up to {_written(horizon, unit)} {unit}. "
            "A run that never arrives counts with all of that, and so does one that diverged; no interval reaches "
            "below 0 or beyond that, and an arm in which no run arrives has none. The ratios are those of these means, "
            "with Fieller's interval; the ratio of a claim may look further, as far as its two arms were followed. The "
            "log-rank p-values compare with the baseline and are not adjusted."
        )
    columns = (Column("arm", "text"), *(Column(title.format(unit=unit)) for title in COLUMNS))
    return (Table(columns, rows), reading)


def _time_row(outcome: Outcome, arm: Arm, durations: Mapping[str, Durations], horizon: float) -> tuple[str, ...]:
    if not arm.runs:
        return (arm.label, *[NONE] * len(COLUMNS))
    unit, own = time_unit(outcome), durations[arm.label]
    reached = f"{own.reached.sum()} of {len(own.times)}"
    if not math.isfinite(horizon):  # every run diverged
        return (arm.label, reached, _median(own, unit), *[NONE] * (len(COLUMNS) - 2))
    # Equal budgets of steps end after different seconds: where fewer than half of the runs arrived, a median in seconds
    # would hang on which of them were cut off first.
    seconds = outcome.evidence.durations(arm.label, "seconds") if kaplan_meier(own).median is not None else None
    area = restricted_mean(own, horizon, outcome.evidence.grid(arm.label, unit))
    found = contrast([area], [1.0], "Greenwood")
    low, high = found.interval()
    return (
        arm.label,
        reached,
        _median(own, unit),
        _written(found.value, unit),
        _nothing_arrived(own, horizon)
        or why_no_interval(found)
        or between(_written(max(low, 0.0), unit), _written(min(high, horizon), unit)),
        *_pace(outcome, arm, durations, horizon),
        NONE if seconds is None else _median(seconds, "seconds"),
    )


def _pace(outcome: Outcome, arm: Arm, durations: Mapping[str, Durations], horizon: float) -> tuple[str, str, str]:
    """Return the ratio to the baseline's mean time, its interval, and the log-rank p-value."""
    baseline = outcome.baseline.label
    if outcome.is_baseline(arm.label):
        return "baseline", "", ""
    if baseline not in durations:
        return NONE, "no run", NONE
    if not outcome.evidence.is_same_data(arm.label, baseline, metric="val/accuracy"):
        return NONE, "other data", NONE
    one, other = durations[arm.label], durations[baseline]
    grid = max(outcome.evidence.grid(label, time_unit(outcome)) for label in (arm.label, baseline))
    found = time_ratio(one, other, horizon, grid)
    return general(found.value), interval(found, general), p_value(log_rank(one, other).p_value)


def _nothing_arrived(durations: Durations, horizon: float) -> str:
    """Say so where no run arrived by the horizon: that all spent it short of the target tells nothing of the spread."""
    return "" if (durations.reached & (durations.times <= horizon)).any() else "no run arrived"


def _median(durations: Durations, unit: str) -> str:
    """The median time to target; that it is longer than the runs were, where fewer than half of them arrived."""
    median = kaplan_meier(durations).median
    if median is not None:
        return _written(median, unit)
    followed = durations.times[np.isfinite(durations.times)]
    return f"> {_written(float(followed.max()), unit)}" if len(followed) else "never"


def _written(value: float, unit: str) -> str:
    return amount(value) if unit == "steps" else general(value)
